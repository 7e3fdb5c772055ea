//! Looks for a group that is this process's own.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::{Delegated, NotDelegated};

impl Delegated {
    /// The group that this process is in, if it may be divided: version 2, with the memory controller, writable, and
    /// nobody else's. Changes nothing. The error says in words what is missing.
    pub fn find() -> Result<Delegated, NotDelegated> {
        let read = |file: &str| {
            fs::read_to_string(file)
                .map_err(|why| NotDelegated::because(format!("{file} cannot be read: {why}")))
        };
        let mounts = read("/proc/self/mountinfo")?;
        let groups = read("/proc/self/cgroup")?;
        let folder = folder(&mounts, &groups).ok_or_else(|| {
            NotDelegated::because("this process is in no cgroup v2 hierarchy that it can see")
        })?;
        Delegated::at(folder, std::process::id())
    }

    fn at(folder: PathBuf, own_pid: u32) -> Result<Delegated, NotDelegated> {
        let shown = folder.display().to_string();
        let read = |file: &str| {
            fs::read_to_string(folder.join(file)).map_err(|why| {
                NotDelegated::because(format!("{shown}/{file} cannot be read: {why}"))
            })
        };
        let controllers = read("cgroup.controllers")?;
        if !controllers.split_whitespace().any(|it| it == "memory") {
            let has = match controllers.trim() {
                "" => "none",
                some => some,
            };
            return Err(NotDelegated::because(format!(
                "cgroup v2 does not have the memory controller in {shown} (it has: {has})"
            )));
        }
        // The root of the whole machine has neither; that of a container's namespace has both.
        if !folder.join("cgroup.type").exists() {
            return Err(NotDelegated::because(
                "the server is in the machine's root group, which is not its own",
            ));
        }
        if !folder.join("cgroup.kill").exists() {
            return Err(NotDelegated::because(
                "this kernel cannot end a group at once (it has no cgroup.kill, which is there since Linux 5.14)",
            ));
        }
        for file in ["", "cgroup.procs", "cgroup.subtree_control"] {
            if let Err(why) = access(folder.join(file), Access::WRITE_OK) {
                return Err(NotDelegated::because(format!(
                    "the group {shown} is not the server's to divide: {why}"
                )));
            }
        }
        let others = read("cgroup.procs")?
            .lines()
            .filter(|line| *line != own_pid.to_string())
            .count();
        if others > 0 {
            return Err(NotDelegated::because(format!(
                "the server shares its group {shown} with {others} other processes"
            )));
        }
        Ok(Delegated { folder })
    }
}

/// The folder of this process's group, from `/proc/self/mountinfo` and `/proc/self/cgroup`.
fn folder(mounts: &str, groups: &str) -> Option<PathBuf> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        if !kind.starts_with("cgroup2 ") {
            return None;
        }
        // proc(5): the root of the mount within its file system and the mount point are fields 4 and 5.
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (unescaped(fields.next()?), unescaped(fields.next()?));
        let below = Path::new(group).strip_prefix(root).ok()?;
        Some(Path::new(&point).join(below))
    })
}

/// proc(5): blanks, tabs, line ends and backslashes are written as three octal digits.
fn unescaped(field: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .iter()
    .fold(field.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const PLAIN: &str = "25 1 0:22 / /proc rw - proc proc rw
31 25 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
";

    #[test]
    fn the_group_is_found_below_its_mount() {
        let hybrid = "40 30 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
41 30 0:34 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";
        let bound = "31 25 0:27 /docker/a /a\\040b rw - cgroup2 cgroup rw\n";
        for (mounts, groups, expected) in [
            (
                PLAIN,
                "0::/system.slice/two-buckets.service\n",
                Some("/sys/fs/cgroup/system.slice/two-buckets.service"),
            ),
            (PLAIN, "4:memory:/x\n0::/\n", Some("/sys/fs/cgroup/")),
            (
                hybrid,
                "4:memory:/x\n0::/y\n",
                Some("/sys/fs/cgroup/unified/y"),
            ),
            (bound, "0::/docker/a/b\n", Some("/a b/b")),
            (bound, "0::/elsewhere\n", None),
            (PLAIN, "4:memory:/x\n", None),
            ("", "0::/\n", None),
        ] {
            assert_eq!(
                folder(mounts, groups),
                expected.map(PathBuf::from),
                "{groups}"
            );
        }
    }

    /// What a delegated group looks like, with this process alone in it.
    fn fake() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("cgroup.controllers", "cpu memory pids\n"),
            ("cgroup.type", "domain\n"),
            ("cgroup.kill", ""),
            ("cgroup.subtree_control", ""),
            ("cgroup.procs", "42\n"),
        ] {
            fs::write(folder.path().join(file), text).unwrap();
        }
        folder
    }

    #[test]
    fn a_group_of_its_own_is_taken_and_every_other_is_refused_with_its_reason() {
        let found = |change: &dyn Fn(&Path)| {
            let folder = fake();
            change(folder.path());
            Delegated::at(folder.path().to_owned(), 42)
                .map(|_| ())
                .map_err(|it| it.to_string())
        };
        assert_eq!(found(&|_| {}), Ok(()));
        let write = |file: &'static str, text: &'static str| {
            move |folder: &Path| fs::write(folder.join(file), text).unwrap()
        };
        let remove =
            |file: &'static str| move |folder: &Path| fs::remove_file(folder.join(file)).unwrap();
        for (change, expected) in [
            (
                &write("cgroup.controllers", "hugetlb\n") as &dyn Fn(&Path),
                "(it has: hugetlb)",
            ),
            (
                &write("cgroup.controllers", "memory_hog\n"),
                "(it has: memory_hog)",
            ),
            (&write("cgroup.controllers", "\n"), "(it has: none)"),
            (
                &write("cgroup.procs", "1\n42\n43\n"),
                "with 2 other processes",
            ),
            (&remove("cgroup.type"), "root group"),
            (&remove("cgroup.kill"), "5.14"),
            (&remove("cgroup.controllers"), "cannot be read"),
            (
                &remove("cgroup.subtree_control"),
                "not the server's to divide",
            ),
        ] {
            let reason = found(change).unwrap_err();
            assert!(reason.contains(expected), "{reason}");
        }
        if !rustix::process::geteuid().is_root() {
            let reason = found(&|folder| {
                fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).unwrap();
            });
            assert!(reason.unwrap_err().contains("not the server's to divide"));
        }
    }
}
