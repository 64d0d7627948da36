//! Programs that are to keep running: each has a log and a thread that starts it again when it
//! ends, a few times. A program that does not stay up ends the node, which is better than half of one.

use std::fs::OpenOptions;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use super::{Event, NodeError, tell};
use crate::component::Component;
use crate::network::Place;
use crate::site;

/// Some programs end when the API server is slow to come up; none needs that more often.
const STARTS: usize = 5;

/// Long enough for what the program needs to have come back.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts programs on the node's hosts, and tells `failed` of the first one to be given up.
pub(super) struct Crew {
    /// Names the network namespace of the control plane.
    pub(super) control_plane: String,
    pub(super) failed: Sender<NodeError>,
}

impl Crew {
    pub(super) fn start(&self, place: Place, component: Component) {
        let net = match place {
            Place::ControlPlane => Some(format!("--net={}", self.control_plane)),
            Place::Node | Place::Outside => None,
        };
        let failed = self.failed.clone();
        thread::spawn(move || {
            let error = keep(net.as_deref(), &component);
            // The receiver lives as long as the node.
            let _ = failed.send(error);
        });
    }
}

fn keep(net: Option<&str>, component: &Component) -> NodeError {
    for _ in 0..STARTS {
        let status = match run_once(net, component) {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let ended = Event::Ended {
            name: component.name.clone(),
            status,
        };
        if let Err(error) = tell(&ended) {
            return error;
        }
        thread::sleep(PAUSE);
    }
    NodeError::GaveUp {
        name: component.name.clone(),
    }
}

fn run_once(net: Option<&str>, component: &Component) -> io::Result<ExitStatus> {
    let prefix: &[&str] = match &net {
        Some(net) => &["nsenter", net, "--"],
        None => &[],
    };
    let path = site::logs().join(format!("{}.log", component.name));
    let log = OpenOptions::new().create(true).append(true).open(path)?;
    let mut command = component.command_after(prefix);
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    command.status()
}
