//! What the machine itself has to bring. On Debian as root it is installed;
//! elsewhere the error says what is missing, and what each thing is for.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{CommandError, run};

/// Folders where Debian keeps programs that a user's PATH may lack.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/lib/cni"];

/// Where Debian keeps PostgreSQL, a folder a version.
const POSTGRESQL: &str = "/usr/lib/postgresql";

/// Something the tests or the cluster need and this machine lacks.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// Missing, and not ours to install.
    #[error("this machine lacks what is needed here:\n{0}")]
    Missing(String),
    /// Debian's installer said no.
    #[error("cannot install the packages that are needed")]
    Install(#[from] CommandError),
}

/// A program, the Debian package that has it, and what it is for.
struct Need {
    program: &'static str,
    package: &'static str,
    purpose: &'static str,
}

const fn need(program: &'static str, package: &'static str, purpose: &'static str) -> Need {
    Need {
        program,
        package,
        purpose,
    }
}

const NEEDS: [Need; 14] = [
    need("containerd", "containerd", "runs pods"),
    need("runc", "runc", "runs containers"),
    need(
        "loopback",
        "containernetworking-plugins",
        "a pod's loopback interface",
    ),
    need("ip", "iproute2", "networks of the cluster"),
    need("unshare", "util-linux", "namespaces of the cluster"),
    need("iptables", "iptables", "Cilium's rules"),
    need("ipset", "ipset", "Cilium's rules"),
    need("nft", "nftables", "Services"),
    need("conntrack", "conntrack", "Services"),
    need("ethtool", "ethtool", "interfaces of pods"),
    need("modprobe", "kmod", "asked by Cilium for kernel modules"),
    need("bpftool", "bpftool", "looking for BPF programs left behind"),
    need("clang-19", "clang-19", "compiling network policies to BPF"),
    need("llc-19", "llvm-19", "compiling network policies to BPF"),
];

const NEEDS_OF_LEDGER: [Need; 1] = [need(
    "initdb",
    "postgresql",
    "a database for the ledger's tests, which start and end their own",
)];

/// Makes sure that everything is there; returns how many packages were installed.
pub fn ensure() -> Result<usize, PackagesError> {
    install(&NEEDS)
}

/// The same for what the ledger's tests need.
pub fn ensure_database() -> Result<usize, PackagesError> {
    install(&NEEDS_OF_LEDGER)
}

fn install(needs: &[Need]) -> Result<usize, PackagesError> {
    let missing: Vec<&Need> = needs
        .iter()
        .filter(|need| find(need.program).is_none())
        .collect();
    if missing.is_empty() {
        return Ok(0);
    }
    let may_install = rustix::process::geteuid().is_root() && find("apt-get").is_some();
    if !may_install {
        return Err(PackagesError::Missing(explain(&missing)));
    }
    let apt_get = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq");
        command
    };
    run(apt_get().arg("update"))?;
    let packages = missing.iter().map(|need| need.package);
    run(apt_get()
        // Another program of the machine is not taken away for ours.
        .args(["install", "--yes", "--no-install-recommends", "--no-remove"])
        .args(packages))?;
    Ok(missing.len())
}

/// Where a program is, looked for on the PATH and where Debian puts system programs.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir(POSTGRESQL).into_iter().flatten().flatten();
    env::split_paths(&path)
        .chain(SYSTEM_FOLDERS.iter().map(PathBuf::from))
        .chain(versions.map(|version| version.path().join("bin")))
        .map(|folder| folder.join(program))
        .find(|file| Path::is_file(file))
}

fn explain(missing: &[&Need]) -> String {
    let mut text = String::new();
    for need in missing {
        let _ = writeln!(text, "  {:<12} {}", need.program, need.purpose);
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    let _ = write!(
        text,
        "On Debian or Ubuntu: sudo apt-get install --no-install-recommends {}",
        packages.join(" ")
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_programs_are_explained() {
        assert_eq!(
            explain(&[&NEEDS[0], &NEEDS[7]]),
            "  containerd   runs pods\n  nft          Services\n\
             On Debian or Ubuntu: sudo apt-get install --no-install-recommends containerd nftables"
        );
    }

    #[test]
    fn programs_are_found_or_not() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-here").is_none());
    }
}
