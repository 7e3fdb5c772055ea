"""What was found."""


class Report:
    """What was found, said line by line as it is found."""

    def __init__(self, say=print):
        self.say = say
        self.failed, self.unchecked = [], []

    def claim(self, claim, problems):
        problems = list(problems)
        self.say(f"{'FAILED' if problems else 'ok':<8}{claim}")
        for problem in problems[:10]:
            self.say(f"        {problem}")
        if len(problems) > 10:
            self.say(f"        and {len(problems) - 10} more")
        if problems:
            self.failed.append(claim)

    def skipped(self, claim, why):
        self.say(f"{'skipped':<8}{claim}: {why}")
        self.unchecked.append(claim)

    def end(self):
        """The last line, and the exit code."""
        if self.failed:
            self.say(f"{len(self.failed)} claims failed")
        elif self.unchecked:
            self.say(f"what was checked holds; {len(self.unchecked)} were skipped")
        else:
            self.say("all of it holds")
        return 1 if self.failed else 0
