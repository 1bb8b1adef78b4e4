import numpy as np

from cotune.training.sketch import sketch


def test_sketch_keeps_inner_products():
    rng = np.random.default_rng(0)
    u, v = rng.normal(size=(2, 50_000))
    v = 0.6 * u + 0.8 * v
    estimates = [float(sketch(u, 4096, seed) @ sketch(v, 4096, seed)) for seed in range(20)]
    truth = float(u @ v)
    spread = np.linalg.norm(u) * np.linalg.norm(v) * np.sqrt(2 / 4096)
    assert abs(np.mean(estimates) - truth) < 4 * spread / np.sqrt(20)
    assert (sketch(u, 60_000) == u.astype(np.float32)).all()
