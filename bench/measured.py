"""What the benchmarks of streaming jobs share: a folder that is gone at the end, and what a process of Linux has used."""
import atexit
import os
import shutil
import tempfile

work = tempfile.mkdtemp(prefix="tidemark-bench-")
atexit.register(shutil.rmtree, work, ignore_errors=True)
tick = os.sysconf("SC_CLK_TCK")


def path(file, text=None):
    """The path of a file in the folder, which gets the text where there is one."""
    file = os.path.join(work, file)
    if text is not None:
        open(file, "w").write(text)
    return file


def cpu(pid):
    """Processor seconds of a process so far."""
    f = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(f[11]) + int(f[12])) / tick


def rss(pid):
    """Resident memory at its most, MB."""
    return next(int(line.split()[1]) // 1024 for line in open(f"/proc/{pid}/status") if line.startswith("VmHWM"))
