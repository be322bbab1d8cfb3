"""The grammar of the log, as the manual has it: ABNF (RFC 5234) without recursion, made into a
regular expression."""

import functools
import os
import re

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "postern.8")
CORE = {"ALPHA": "[A-Za-z]", "DIGIT": "[0-9]", "DQUOTE": '"', "SP": " ", "LF": "\n"}
TOKEN = re.compile(r'\s*(?:(?P<repeat>\d*\*\d*|\d+)?(?:(?P<name>[A-Za-z][\w-]*)|"(?P<text>[^"]*)"|'
                   r'%x(?P<first>[0-9A-F]+)(?:-(?P<last>[0-9A-F]+))?|(?P<open>\())|'
                   r'(?P<close>\))|(?P<or>/))')


def rules_of(text):
    """{name: definition}; a line that begins with a blank continues the one before."""
    joined = re.sub(r"\n\s+", " ", text).strip()
    return dict(re.fullmatch(r"([\w-]+)\s*=\s*(.*)", line).groups() for line in joined.split("\n"))


def times(expression, repeat):
    if repeat is None:
        return expression
    least, star, most = repeat.partition("*")
    return f"(?:{expression}){{{least or 0},{most}}}" if star else f"(?:{expression}){{{least}}}"


class Grammar:
    def __init__(self, text):
        self.rules = rules_of(text)

    @functools.lru_cache(maxsize=None)
    def expression(self, name):
        """That rule as a regular expression."""
        if name in CORE:
            return CORE[name]
        expression, end = self._alternatives(self.rules[name], 0)
        assert end == len(self.rules[name]), f"{name}: {self.rules[name][end:]}"
        return expression

    def _alternatives(self, text, at):
        """(expression, where it ends): up to a closing bracket or the end."""
        choices, sequence = [], ""
        while at < len(text):
            token = TOKEN.match(text, at)
            assert token, text[at:]
            if token["close"]:
                break
            at = token.end()
            if token["or"]:
                choices.append(sequence)
                sequence = ""
                continue
            if token["open"]:
                part, at = self._alternatives(text, at)
                at = TOKEN.match(text, at).end()
            else:
                part = self._terminal(token)
            sequence += times(part, token["repeat"])
        return "(?:" + "|".join([*choices, sequence]) + ")", at

    def _terminal(self, token):
        if token["name"]:
            return self.expression(token["name"])
        if token["first"]:
            first, last = (re.escape(chr(int(n, 16))) for n in (token["first"],
                                                                token["last"] or token["first"]))
            return f"[{first}-{last}]"
        # RFC 5234, 2.3: letters in quotes are of either case. The page has none.
        assert not re.search("[A-Za-z]", token["text"])
        return re.escape(token["text"])


@functools.lru_cache(maxsize=None)
def log_line():
    """Matches a line of the log in text, with its newline."""
    with open(PAGE, encoding="utf-8") as file:
        page = file.read()
    block = re.search(r"^In ABNF .*\n\.Bd .*\n((?:.*\n)*?)\.Ed", page, re.MULTILINE)[1]
    grammar = Grammar(block.replace(r"\e", "\\"))
    return re.compile(grammar.expression("line"))
