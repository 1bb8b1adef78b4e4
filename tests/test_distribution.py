"""What goes to a package index: a README whose links lead somewhere, and sources that are whole."""

import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILD = "import setuptools.build_meta as backend; print(backend.build_sdist('made'))"
FOLDERS = ("benchmarks", "docs", "examples", "tests", "tools")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Build the source distribution from a copy with little code in it."""
    folder = tmp_path_factory.mktemp("project")
    for name in (*FOLDERS, ".ci"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in (
        file
        for file in ROOT.iterdir()
        if file.is_file() and file.suffix in {".md", ".toml", ".txt", ".py", ".in"}
    ):
        shutil.copy(file, folder)
    for name in ("LICENSE", "Makefile", "mkdocs.yml"):
        shutil.copy(ROOT / name, folder)
    (folder / "src" / "cotune").mkdir(parents=True)
    shutil.copy(ROOT / "src" / "cotune" / "__init__.py", folder / "src" / "cotune")
    done = subprocess.run([sys.executable, "-c", BUILD], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with tarfile.open(next((folder / "made").iterdir())) as archive:
        members = {Path(*Path(name).parts[1:]): archive.getmember(name) for name in archive.getnames()}
        about = archive.extractfile(members[Path("PKG-INFO")]).read().decode()
    return members, about


def test_documents_examples_and_tests_are_in_it(archive):
    members, _ = archive
    for name in FOLDERS:
        files = {path.relative_to(ROOT) for path in (ROOT / name).rglob("*") if path.is_file()}
        assert {file for file in files if "__pycache__" not in file.parts} <= members.keys()
    assert {
        Path(name) for name in ("CHANGELOG.md", "Makefile", "constraints.txt", "mkdocs.yml", "setup.py")
    } <= members.keys()
    assert not [path for path in members if path.suffix == ".pyc"]


def test_the_description_is_the_readme_with_links_that_lead_somewhere(archive):
    header, description = archive[1].split("\n\n", 1)
    assert "Description-Content-Type: text/markdown" in header
    links = re.findall(r"\]\(([^)]*)\)", description)
    assert links
    assert all(link.startswith(("https://", "#")) for link in links)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    picture = re.compile(r"!\[[^\]]+\]\(docs/assets/[^)]*\)\n\n")
    assert picture.search(readme)
    assert "![" not in description
    readme = picture.sub("", readme)
    assert (
        re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", description).strip()
        == re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", readme).strip()
    )


def test_the_projects_addresses_are_of_papers_it_follows(archive):
    assert re.findall(r"^Project-URL: (\w+),", archive[1], re.M) == ["AdaGroup", "ProMoT"]
