//! What a process may do beyond its user's rights, as the kernel tells it.

/// The user and the group that a process runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user's number.
    pub user: u32,
    /// The number of its first group.
    pub group: u32,
}

/// Checks that a process has no privilege and can get none, and returns whose it is. `status` is the text of its
/// `/proc/PID/status` (proc(5)).
///
/// # Panics
/// When it has one.
#[track_caller]
pub fn no_privilege_in(name: &str, status: &str) -> Owner {
    let values = |key: &str| -> Vec<&str> {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("Linux says so");
        line.split_whitespace().collect()
    };
    for capabilities in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(u64::from_str_radix(values(capabilities)[0], 16), Ok(0), "{name} {capabilities}");
    }
    assert_eq!(values("NoNewPrivs:"), ["1"], "{name}");
    // 2 is a filter.
    assert_eq!(values("Seccomp:"), ["2"], "{name}");
    let [user, group] = ["Uid:", "Gid:"].map(|key| {
        let ids: Vec<u32> = values(key).iter().map(|id| id.parse().expect("it is a number")).collect();
        assert!(ids.iter().all(|id| *id == ids[0] && *id != 0), "{name} {key} {ids:?}");
        ids[0]
    });
    Owner { user, group }
}
