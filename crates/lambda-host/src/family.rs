use rustix::process::Signal;

use crate::members::{Look, Members, signal_exactly};
use crate::procfs::{self, Seen};

/// This process and all that descend from it, as `/proc` shows them. Where there is no `/proc`, there are none to see.
#[derive(Debug)]
pub struct Family {
    members: Members,
}

impl Family {
    /// The family of this process.
    pub fn of_this_process() -> Self {
        Self {
            members: Members::of_this_process(),
        }
    }

    /// The memory that all of them have resident, together; pages that they share are counted once where the sum would
    /// be over the limit. Blocks for a moment.
    pub fn resident_bytes(&mut self, limit_bytes: u64) -> u64 {
        procfs::resident_bytes(&self.seen(), limit_bytes)
    }

    /// Kills all but this process. Blocks for a moment.
    pub fn kill_others(&mut self) {
        let me = rustix::process::getpid().as_raw_nonzero().get();
        // A process that starts others meanwhile is dead at the second look, and they are found by then.
        for _ in 0..LOOKS_MAX {
            let others: Vec<Seen> = self.seen().into_iter().filter(|it| it.pid != me).collect();
            if others.is_empty() {
                return;
            }
            for other in &others {
                signal_exactly(other, Signal::KILL);
            }
        }
    }

    fn seen(&mut self) -> Vec<Seen> {
        self.members.among(&procfs::processes(), Look::Quick)
    }
}

/// How often it is looked for more to kill.
const LOOKS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::Family;

    #[test]
    fn children_of_children_are_counted_and_killed() {
        let mut child = Command::new("sh")
            .args(["-c", "sleep 600 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
        let grandchild: i32 = line.trim().parse().unwrap();
        let mut family = Family::of_this_process();
        assert!(family.seen().iter().any(|it| it.pid == grandchild));
        let alone = crate::procfs::process(std::process::id().cast_signed()).unwrap();
        assert!(family.resident_bytes(u64::MAX) > alone.resident_bytes / 2);
        family.kill_others();
        assert!(!child.wait().unwrap().success());
        assert!(!family.seen().iter().any(|it| it.pid == grandchild));
    }
}
