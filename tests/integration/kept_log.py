"""The output of programs."""

import tempfile


class KeptLog:
    """A file for it, whose text can be read while they run and after close()."""

    def __init__(self):
        self.file = tempfile.TemporaryFile("w+", encoding="utf-8")
        self._text = ""

    def text(self):
        if not self.file.closed:
            self.file.seek(0)
            self._text = self.file.read()
        return self._text

    def close(self):
        self.text()
        self.file.close()
