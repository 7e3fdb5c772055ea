"""The processes of a server's jobs."""

from pathlib import Path

from harness.waiting import until


def processes_of_jobs(server):
    """The processes of the server's jobs and whatever they have started, by their temporary folder."""
    mark = f"TMPDIR={server.data.resolve()}/jobs/".encode()
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
            words = (process / "cmdline").read_bytes().split(b"\0")
            is_dead = (process / "stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
        except (OSError, IndexError):
            continue
        if not is_dead and any(variable.startswith(mark) for variable in variables):
            found[int(process.name)] = [word.decode(errors="replace") for word in words]
    return found


def processes_of(server, program):
    """The processes of this program that the server's jobs have started, by the folder that commands are told of."""
    mark = f"{server.data.resolve()}/jobs/".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            is_one = words[0] == program.encode() and mark in (process / "environ").read_bytes()
        except OSError:
            continue
        found += [process.name] if is_one else []
    return found


def leaders(server):
    """The processes that are the jobs themselves."""
    found = {pid for pid, words in processes_of_jobs(server).items() if words[1:2] == ["job"]}

    # What a job is about to start looks like the job until it is another program.
    def parent(pid):
        try:
            return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            return 0

    return [pid for pid in found if parent(pid) not in found]


def leader(server):
    """The one process that is the job itself."""
    [pid] = leaders(server)
    return pid


def none_is_left(server):
    until("no process of a job is left", lambda: not processes_of_jobs(server))
    until("no folder of a job is left", lambda: not list((server.data / "jobs").glob("*")))
