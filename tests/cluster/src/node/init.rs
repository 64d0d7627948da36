//! Pid 1 of the node: prepares the namespace, starts `run`, lets the machine in, reaps orphans.
//! Its standard input is a listening socket of the machine's loopback, bound before the
//! node's network namespace was entered; connections to it are carried to the API server.

use std::convert::Infallible;
use std::fs::{self, File};
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::thread;

use rustix::process::{Pid, WaitOptions};

use super::{NodeError, mounts, system};
use crate::network::{CONTROL_PLANE_ADDRESS, Place};

/// Runs as pid 1 until the node ends; then the kernel ends whatever else runs in it.
pub fn init() -> Result<Infallible, NodeError> {
    if std::process::id() != 1 {
        return Err(NodeError::Usage);
    }
    // Held open: the file that names it lies under a mount from here on.
    let control_plane = Place::ControlPlane.file();
    let control_plane = File::open(&control_plane).map_err(system("open", control_plane))?;
    mounts::prepare()?;
    let forward = "/proc/sys/net/ipv4/ip_forward";
    fs::write(forward, "1").map_err(system("write", forward))?;
    relay()?;
    let runner = Command::new("/proc/self/exe")
        .arg("node-run")
        .arg(format!("/proc/1/fd/{}", control_plane.as_raw_fd()))
        .stdin(Stdio::null())
        .spawn()
        .map_err(system("start", "node-run"))?;
    Err(reap_until(Pid::from_child(&runner)))
}

/// Waits for every process that ends without a parent; returns when the runner ends.
fn reap_until(runner: Pid) -> NodeError {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, _))) if pid == runner => {
                return NodeError::GaveUp {
                    name: "node-run".to_owned(),
                };
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return system("wait for", "processes")(errno.into()),
        }
    }
}

fn relay() -> Result<(), NodeError> {
    let stdin = io::stdin();
    let socket =
        rustix::io::dup(&stdin).map_err(|errno| system("take", "the socket")(errno.into()))?;
    let listener = TcpListener::from(socket);
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            thread::spawn(move || carry(&connection));
        }
    });
    Ok(())
}

/// Copies both ways until both sides are done.
fn carry(inside: &TcpStream) {
    let Ok(api_server) = TcpStream::connect((CONTROL_PLANE_ADDRESS, 6443)) else {
        return;
    };
    thread::scope(|scope| {
        scope.spawn(|| pump(inside, &api_server));
        pump(&api_server, inside);
    });
}

fn pump(mut from: &TcpStream, mut to: &TcpStream) {
    // Either end may go at any time; the other one is told, and that is all.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
