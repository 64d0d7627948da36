//! What runs inside the node. Three programs, all of them this one under hidden names:
//! `init` is pid 1 (mounts, the way in from the machine, reaping), `run` carries out the plan
//! and watches what it started, `agent` gives Cilium the /proc that it expects.
//! When pid 1 ends, the kernel ends everything else.

mod agent;
mod crew;
mod init;
mod mounts;
mod run;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use agent::agent;
pub use init::init;
pub use run::run;

use crate::site;

/// A node that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The system refused something.
    #[error("cannot {deed} {}", path.display())]
    System {
        /// What was being done.
        deed: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The plan is not one of this program.
    #[error("cannot read the node's plan")]
    Plan(#[source] serde_json::Error),
    /// A program ended again and again.
    #[error("`{name}` ends again and again")]
    GaveUp {
        /// Which program.
        name: String,
    },
    /// A stage did not come to its end.
    #[error("`{stage}` is not reached")]
    Late {
        /// Which stage.
        stage: String,
    },
    /// The hidden command was called in a way that nobody calls it.
    #[error("this command is for the node itself")]
    Usage,
}

/// What the node tells `up`, a line of JSON each.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Event {
    /// A stage of the plan is done.
    Done {
        /// Its name.
        stage: String,
    },
    /// A program ended and is started again.
    Ended {
        /// Its name.
        name: String,
        /// How it ended.
        status: String,
    },
    /// The node stops.
    Failed {
        /// What did not work.
        reason: String,
        /// The program whose log says more, if it is known.
        name: Option<String>,
    },
}

fn tell(event: &Event) -> Result<(), NodeError> {
    let path = site::events();
    let write = || -> io::Result<()> {
        let mut file: File = OpenOptions::new().create(true).append(true).open(&path)?;
        // One write: readers see whole lines.
        file.write_all(format!("{}\n", serde_json::to_string(event)?).as_bytes())
    };
    write().map_err(system("write", &path))
}

fn system<P: Into<PathBuf>>(deed: &'static str, path: P) -> impl FnOnce(io::Error) -> NodeError {
    let path = path.into();
    move |source| NodeError::System { deed, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_is_one_line() {
        let event = Event::Failed {
            reason: "two\nlines".to_owned(),
            name: None,
        };
        let line = serde_json::to_string(&event).unwrap();
        assert_eq!(line.lines().count(), 1);
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }
}
