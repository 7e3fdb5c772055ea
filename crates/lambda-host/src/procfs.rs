//! The processes of this machine as `/proc` shows them. Where there is no `/proc`, there are none to see.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;

/// One process, as `/proc/<pid>/stat` tells it (`man 5 proc_pid_stat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    /// In clock ticks since boot. With the pid it names a process for good, as pids are used again.
    pub(crate) started: u64,
    pub(crate) resident_bytes: u64,
    /// Ended, but not yet waited for by its parent: nothing of it runs any more.
    pub(crate) is_dead: bool,
}

/// All processes that can be seen.
pub(crate) fn processes() -> Vec<Seen> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(process)
        .collect()
}

/// One process; none when it is gone.
pub(crate) fn process(pid: i32) -> Option<Seen> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(pid, &text, rustix::param::page_size() as u64)
}

/// The second field is the program's name in parentheses and may itself contain parentheses and spaces, so what follows is
/// counted from the last one.
fn parse_stat(pid: i32, text: &[u8], page_bytes: u64) -> Option<Seen> {
    let name_ends = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(name_ends + 1..)?).ok()?;
    // `rest` begins with the third field, the state.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Seen {
        pid,
        parent: field(4)?.parse().ok()?,
        group: field(5)?.parse().ok()?,
        started: field(22)?.parse().ok()?,
        resident_bytes: field(24)?.parse::<u64>().ok()? * page_bytes,
        is_dead: matches!(field(3)?, "Z" | "X"),
    })
}

/// Whether a process was started with such a `NAME=value` among its variables.
pub(crate) fn has_variable(pid: i32, is_it: impl Fn(&[u8]) -> bool) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|all| all.split(|byte| *byte == 0).any(is_it))
}

/// The memory that these processes have resident, together. The sum counts a page that several share several times, so
/// when it is over the limit it is taken again with shared pages counted once in all.
pub(crate) fn resident_bytes(seen: &[Seen], limit_bytes: u64) -> u64 {
    let resident = seen.iter().map(|it| it.resident_bytes).sum();
    if resident <= limit_bytes || seen.len() == 1 {
        return resident;
    }
    // One whose pages cannot be seen counts as nothing rather than in full: it has ended, or is not ours to see.
    seen.iter()
        .filter_map(|it| proportional_bytes(it.pid))
        .sum()
}

/// The memory a process takes up, pages that it shares counted by its share (`Pss`). The kernel walks all its pages for
/// this, so it is asked only when the cheap number looks too high.
pub(crate) fn proportional_bytes(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// The socket by which `from` is connected to `to`, as the number that `/proc/<pid>/fd` shows, for TCP over IPv4.
pub(crate) fn socket(from: SocketAddr, to: SocketAddr) -> Option<u64> {
    let (from, to) = (hexadecimal(from)?, hexadecimal(to)?);
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let is_it = fields.nth(1)? == from && fields.next()? == to;
        // sl local rem st queues timer retransmits uid timeout inode
        is_it.then(|| fields.nth(6)?.parse().ok())?
    })
}

/// An address as `/proc/net/tcp` writes it: the address as a number in this machine's byte order, then the port.
fn hexadecimal(address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(address) = address else {
        return None;
    };
    let ip = u32::from_ne_bytes(address.ip().octets());
    Some(format!("{ip:08X}:{:04X}", address.port()))
}

/// Whether a process has this socket open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Yes,
    No,
    /// Its open files are not ours to see, as it runs as another user.
    Unknown,
}

pub(crate) fn holds_socket(pid: i32, socket: u64) -> Holds {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        let is_there = fs::exists(format!("/proc/{pid}")).unwrap_or(false);
        return if is_there { Holds::Unknown } else { Holds::No };
    };
    let wanted = format!("socket:[{socket}]");
    let holds = files.flatten().any(|file| {
        fs::read_link(file.path()).is_ok_and(|it| it.as_os_str().as_bytes() == wanted.as_bytes())
    });
    if holds { Holds::Yes } else { Holds::No }
}

/// Processes by their parent, to follow a family down.
pub(crate) fn by_parent(all: &[Seen]) -> HashMap<i32, Vec<Seen>> {
    let mut families: HashMap<i32, Vec<Seen>> = HashMap::new();
    for process in all {
        families.entry(process.parent).or_default().push(*process);
    }
    families
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_parentheses_does_not_shift_the_fields() {
        let text = b"42 (a) S (b) R 7 40 39 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 9000 123 17 18446744073709551615 1 1\n";
        let seen = parse_stat(42, text, 4096).unwrap();
        assert_eq!(
            (
                seen.parent,
                seen.group,
                seen.started,
                seen.resident_bytes,
                seen.is_dead
            ),
            (7, 40, 9000, 17 * 4096, false)
        );
    }

    #[test]
    fn addresses_are_written_as_the_kernel_writes_them() {
        let written = hexadecimal("127.0.0.1:9001".parse().unwrap()).unwrap();
        let ip = if cfg!(target_endian = "little") {
            "0100007F"
        } else {
            "7F000001"
        };
        assert_eq!(written, format!("{ip}:2329"));
    }
}
