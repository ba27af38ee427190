"""Writes the table of architectures into README.md.

Counted, not measured: some seconds on any machine.

    python benchmarks/model_table.py
"""

from pathlib import Path

from stablevid_tf.models import table

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- models table -->\n", "<!-- end of models table -->"


def main():
    text = README.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    README.write_text(f"{before}{BEGIN}{table.markdown()}\n{END}{after}")


if __name__ == "__main__":
    main()
