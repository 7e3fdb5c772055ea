"""Keys that break clients, lists, signatures and file systems, with a name for each."""

AWKWARD_KEYS = {
    "space": "a key with  spaces.txt",
    "leading-space": " leads with a space",
    "plus": "1+1=2.txt",
    "percent": "100%.txt",
    "percent-escape": "a%20b%2Fc.txt",
    "unicode": "grüße/日本語/קובץ.txt",
    "decomposed": "e\u0301 is not \u00e9",
    "emoji": "👩‍👩‍👧 photo.jpg",
    "leading-slash": "/leads/with/a/slash",
    "trailing-slash": "ends/with/a/slash/",
    "two-slashes": "a//b",
    "dots": "../.././a/./b/..",
    "only-dot": ".",
    "double-quotes": 'he said "no".txt',
    "single-quotes": "it's `here` $HOME $(id).txt",
    "newline": "two\nlines",
    "tab-and-return": "a\tb\rc",
    "markup": "<a href='x'>&amp;</a>&lt;",
    "query": "what?x=1&y=2#part;z,@:!*()[]{}|\\^~",
    "longest": "ä" * 510 + "/end",
}
