//! The control group of one environment.
//!
//! Files and their meaning: <https://docs.kernel.org/admin-guide/cgroup-v2.html>.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A group; when it is dropped, all in it is ended and it is removed.
#[derive(Debug)]
pub(crate) struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    /// Makes the group and limits it.
    pub(super) fn new(folder: PathBuf, memory_bytes_max: u64) -> io::Result<Cgroup> {
        fs::create_dir(&folder)?;
        let group = Cgroup { folder };
        group.limit(memory_bytes_max)?;
        Ok(group)
    }

    /// One that an earlier server left.
    pub(super) fn existing(folder: PathBuf) -> Cgroup {
        Cgroup { folder }
    }

    /// Memory without a way out to swap; and when it is passed, all of the environment ends and not a random part of it.
    fn limit(&self, memory_bytes_max: u64) -> io::Result<()> {
        fs::write(self.folder.join("memory.max"), memory_bytes_max.to_string())?;
        fs::write(self.folder.join("memory.oom.group"), "1")?;
        let swap = self.folder.join("memory.swap.max");
        // It is not there where the kernel counts no swap.
        if swap.exists() {
            fs::write(swap, "0")?;
        }
        Ok(())
    }

    /// What a process writes itself to in order to enter.
    pub(super) fn procs(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    /// What the kernel counts now, with the page cache that its files take up; 0 once the group is gone.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let text = fs::read_to_string(self.folder.join("memory.current"));
        text.ok().and_then(|it| it.trim().parse().ok()).unwrap_or(0)
    }

    /// Whether the kernel has ended a process of it because its memory was passed. It counts before it kills, so whoever
    /// has seen the end of such a process sees this.
    pub(crate) fn was_out_of_memory(&self) -> bool {
        self.number("memory.events", "oom_kill").unwrap_or(0) > 0
    }

    /// The processes in it, of those that this one can see.
    pub(crate) fn pids(&self) -> HashSet<i32> {
        let text = fs::read_to_string(self.procs()).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Whether a process that is no zombie is in it.
    pub(crate) fn is_populated(&self) -> bool {
        self.number("cgroup.events", "populated") == Some(1)
    }

    /// Ends all that is in it, also what is forked meanwhile.
    pub(crate) fn kill(&self) {
        // Fails only when the group is gone, or its file system is.
        fs::write(self.folder.join("cgroup.kill"), "1").ok();
    }

    /// Takes the empty group off the kernel's list. One that is gone is no error.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir(&self.folder) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why),
            _ => Ok(()),
        }
    }

    /// A number in a file of lines `name number`.
    fn number(&self, file: &str, name: &str) -> Option<u64> {
        let text = fs::read_to_string(self.folder.join(file)).ok()?;
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(found, _)| *found == name)
            .and_then(|(_, number)| number.trim().parse().ok())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        self.kill();
        // What was killed may need a moment to be gone, where nobody waited for it; the next server removes the group then.
        self.remove().ok();
    }
}

/// The groups below one whose names begin so.
pub(super) fn below(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|it| it.file_name().to_string_lossy().starts_with(prefix))
        .map(|it| it.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with the files of a group that matter here.
    fn fake(files: &[(&str, &str)]) -> (tempfile::TempDir, Cgroup) {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in files {
            fs::write(folder.path().join(file), text).unwrap();
        }
        let group = Cgroup::existing(folder.path().to_owned());
        (folder, group)
    }

    #[test]
    fn memory_is_limited_without_swap_and_for_all_together() {
        let (folder, group) = fake(&[
            ("memory.max", "max"),
            ("memory.swap.max", "max"),
            ("memory.oom.group", "0"),
        ]);
        group.limit(128 << 20).unwrap();
        let read = |file: &str| fs::read_to_string(folder.path().join(file)).unwrap();
        assert_eq!(read("memory.max"), "134217728");
        assert_eq!(read("memory.swap.max"), "0");
        assert_eq!(read("memory.oom.group"), "1");
        let (folder, group) = fake(&[]);
        group.limit(128 << 20).unwrap();
        assert!(!folder.path().join("memory.swap.max").exists());
    }

    #[test]
    fn the_kernels_kill_is_told_apart_from_other_events() {
        let events = |oom_kill: &str| {
            format!("low 0\nhigh 0\nmax 17\noom 3\noom_kill {oom_kill}\noom_group_kill 9\n")
        };
        for (oom_kill, expected) in [("0", false), ("1", true), ("12", true)] {
            let (_folder, group) = fake(&[("memory.events", &events(oom_kill))]);
            assert_eq!(group.was_out_of_memory(), expected);
        }
        assert!(!fake(&[]).1.was_out_of_memory());
    }

    #[test]
    fn a_group_is_populated_until_the_kernel_says_otherwise() {
        assert!(
            fake(&[("cgroup.events", "populated 1\nfrozen 0\n")])
                .1
                .is_populated()
        );
        assert!(
            !fake(&[("cgroup.events", "populated 0\nfrozen 0\n")])
                .1
                .is_populated()
        );
        assert!(!fake(&[]).1.is_populated());
    }

    #[test]
    fn only_groups_of_environments_are_taken_for_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["environment-a", "server", "other"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        assert_eq!(
            below(folder.path(), "environment-"),
            [folder.path().join("environment-a")]
        );
    }
}
