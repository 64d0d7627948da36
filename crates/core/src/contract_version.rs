//! Which version of the contract operator and server speak: each knows the
//! current one and the one before, so that either may be upgraded first. Pure.

use crate::tenant::CONTRACT_VERSION;

/// The versions that an operator of this release writes, the newest first.
pub const WRITTEN: &[&str] = &[CONTRACT_VERSION];

/// The versions that a server of this release reads, the newest first.
pub const READ: &[&str] = &[CONTRACT_VERSION];

/// The version to write for servers that report `read`, one list a replica:
/// the newest of `written` (newest first) that all of them read.
///
/// With no common one it is the newest. Replicas that cannot read it keep the
/// last good contract for reads, change nothing and say so, while the rollout
/// brings those that can; an older one would leave nobody to serve.
pub fn choose<'v>(written: &[&'v str], read: &[Vec<String>]) -> Option<&'v str> {
    let is_common = |version: &&&str| {
        read.iter()
            .all(|versions| versions.iter().any(|known| known == *version))
    };
    written.iter().find(is_common).or(written.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This release and one that follows it, as operators and as servers.
    const OLD: &[&str] = &["v1"];
    const NEW: &[&str] = &["v2", "v1"];

    fn chosen(written: &[&'static str], replicas: &[&[&str]]) -> &'static str {
        let read: Vec<Vec<String>> = replicas
            .iter()
            .map(|versions| {
                versions
                    .iter()
                    .map(|version| (*version).to_owned())
                    .collect()
            })
            .collect();
        choose(written, &read).unwrap()
    }

    #[test]
    fn all_four_pairings_of_a_release_and_the_next_understand_each_other() {
        for (operator, server, version) in [
            (OLD, OLD, "v1"),
            (OLD, NEW, "v1"),
            (NEW, OLD, "v1"),
            (NEW, NEW, "v2"),
        ] {
            let chosen = chosen(operator, &[server]);
            assert_eq!(chosen, version, "{operator:?} {server:?}");
            assert!(server.contains(&chosen));
        }
    }

    #[test]
    fn a_rollout_waits_for_its_last_replica() {
        assert_eq!(chosen(NEW, &[NEW, OLD]), "v1");
        assert_eq!(chosen(NEW, &[NEW, NEW]), "v2");
        assert_eq!(chosen(&["v3", "v2"], &[&["v3", "v2"], NEW]), "v2");
    }

    #[test]
    fn before_the_first_report_and_without_a_common_version_it_is_the_newest() {
        assert_eq!(chosen(NEW, &[]), "v2");
        assert_eq!(chosen(&["v3", "v2"], &[OLD]), "v3");
        assert_eq!(chosen(OLD, &[&["v3", "v2"]]), "v1");
        assert_eq!(chosen(OLD, &[&[]]), "v1");
        assert_eq!(choose(&[], &[]), None);
    }

    #[test]
    fn this_release_reads_all_that_it_writes() {
        assert!(WRITTEN.iter().all(|version| READ.contains(version)));
        assert_eq!(WRITTEN.first(), Some(&CONTRACT_VERSION));
        assert_eq!(READ.first(), Some(&CONTRACT_VERSION));
    }
}
