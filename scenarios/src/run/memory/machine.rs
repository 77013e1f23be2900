//! How much memory is at hand: what the kernel says is available, and what the control groups of this process leave of it.
//!
//! `MemAvailable` of `/proc/meminfo` is the kernel's own estimate of what can be had without swapping. In a container the
//! group's limit counts as well, and the machine's figure says nothing of it. A group's use includes pages of files that
//! are given back when somebody needs them; those count as free.

use std::{fs, path::Path, sync::OnceLock};

/// How much memory is at hand, in bytes; `None` where the system does not say (not Linux, for one). Read when it is first
/// asked for: what runs that go on meanwhile have taken is theirs, and not missing for those that follow.
pub fn at_hand() -> Option<u64> {
    static FIRST: OnceLock<Option<u64>> = OnceLock::new();
    *FIRST.get_or_init(|| {
        let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        available(&meminfo, &groups(Path::new("/sys/fs/cgroup"), &own))
    })
}

/// What a control group (version 2) says of its memory: its files, as they are.
#[derive(Clone, Debug, Default)]
struct Group {
    max: String,
    current: String,
    stat: String,
}

/// The groups from this process' own up to the root, as far as they can be read.
fn groups(root: &Path, own: &str) -> Vec<Group> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or("");
    let read = |directory: &Path, file: &str| fs::read_to_string(directory.join(file));
    let group = |directory: &Path| {
        Some(Group {
            max: read(directory, "memory.max").ok()?,
            current: read(directory, "memory.current").ok()?,
            stat: read(directory, "memory.stat").unwrap_or_default(),
        })
    };
    let place = root.join(path);
    place.ancestors().take_while(|above| above.starts_with(root)).filter_map(group).collect()
}

/// The least of what the machine and each group leave.
fn available(meminfo: &str, groups: &[Group]) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let left = groups.iter().filter_map(|group| {
        // A group without a limit says `max`.
        let max: u64 = group.max.trim().parse().ok()?;
        let current: u64 = group.current.trim().parse().ok()?;
        let files = group.stat.lines().find_map(|line| line.strip_prefix("inactive_file "));
        let files: u64 = files.and_then(|files| files.trim().parse().ok()).unwrap_or(0);
        Some(max.saturating_sub(current.saturating_sub(files)))
    });
    left.chain([kilobytes.saturating_mul(1024)]).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:       16384 kB\nMemFree:  1 kB\nMemAvailable:    8192 kB\n";

    fn group(max: &str, current: &str, stat: &str) -> Group {
        let [max, current, stat] = [max, current, stat].map(str::to_owned);
        Group { max, current, stat }
    }

    #[test]
    fn the_machine_says_what_is_available() {
        assert_eq!(available(MEMINFO, &[]), Some(8 << 20));
        assert_eq!(available("", &[]), None);
        assert_eq!(available("MemAvailable: many kB", &[]), None);
    }

    #[test]
    fn the_tightest_group_counts() {
        let wide = group("max\n", "4096\n", "");
        let tight = group("4194304\n", "1048576\n", "anon 0\ninactive_file 524288\n");
        assert_eq!(available(MEMINFO, std::slice::from_ref(&wide)), Some(8 << 20));
        assert_eq!(available(MEMINFO, &[wide, tight]), Some((4 << 20) - (1 << 19)));
        assert_eq!(available(MEMINFO, &[group("4096", "8192", "")]), Some(0));
    }

    #[test]
    fn groups_are_read_from_the_own_one_upwards() {
        let root = tempfile::tempdir().expect("a directory");
        let own = root.path().join("ci.slice/job");
        fs::create_dir_all(&own).expect("a directory");
        for (directory, max) in [(own.as_path(), "max"), (&root.path().join("ci.slice"), "1000")] {
            fs::write(directory.join("memory.max"), max).expect("written");
            fs::write(directory.join("memory.current"), "400").expect("written");
        }
        let found = groups(root.path(), "12:cpu:/x\n0::/ci.slice/job\n");
        assert_eq!(
            found.iter().map(|group| group.max.as_str()).collect::<Vec<_>>(),
            ["max", "1000"]
        );
        assert_eq!(available(MEMINFO, &found), Some(600));
        assert!(groups(root.path(), "").is_empty());
    }
}
