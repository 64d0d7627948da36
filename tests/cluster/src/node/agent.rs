//! Cilium's agent reads /proc/modules and gives up where a kernel without loadable modules has
//! none. It is started with a /proc of links to the real one, and an empty `modules`.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::mount::{MountFlags, mount, mount_bind_recursive};

use super::{NodeError, system};
use crate::site;

/// Becomes `line`, in a mount namespace that the caller made for it.
pub fn agent(line: &[OsString]) -> Result<Infallible, NodeError> {
    let (program, args) = line.split_first().ok_or(NodeError::Usage)?;
    if !Path::new("/proc/modules").exists() {
        add_modules().map_err(system("replace", "/proc"))?;
    }
    let error = Command::new(program).args(args).exec();
    Err(system("start", program)(error))
}

fn add_modules() -> io::Result<()> {
    let real = site::path("proc");
    fs::create_dir_all(&real)?;
    mount_bind_recursive("/proc", &real)?;
    mount("none", "/proc", "tmpfs", MountFlags::empty(), None)?;
    for entry in fs::read_dir(&real)? {
        let name = entry?.file_name();
        symlink(real.join(&name), Path::new("/proc").join(&name))?;
    }
    fs::write("/proc/modules", "")
}
