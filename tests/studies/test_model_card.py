"""Cards of models hold names of strangers: no tag, no control character."""

from cotune.studies.model_card import CARD, write_card


def test_names_are_no_tags_and_code_stays_code(tmp_path):
    code = "```python\nif a<b: print('<b>')\n```"
    name = "<script>x</script> \x1b[2J\u202e 1 < 2 <b"
    write_card(tmp_path, [f"# {name}", f"| {name} | `<b>` |", code])
    head, row, *rest = (tmp_path / CARD).read_text().split("\n\n")
    assert head == "# &lt;script>x&lt;/script> \\u001b[2J\\u202e 1 < 2 &lt;b"
    assert row == f"| {head[2:]} | `<b>` |"
    assert "\n\n".join(rest) == code + "\n"
