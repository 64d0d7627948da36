//! A process that must not outlive this one. The kernel's parent-death signal does that even when
//! this process is killed, but it fires when the *thread* that started the child ends; so each child
//! has a thread of its own that lives as long as it may.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::component::Component;

/// How soon a child that ended is seen to have ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Keeps one process running; dropping it kills the process and waits for its end.
pub(crate) struct Keeper {
    pub(crate) name: String,
    pub(crate) log: PathBuf,
    ended: Arc<AtomicBool>,
    /// Taken by `drop`: its end is the order to stop.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts `component` with its output in `<logs>/<name>.log`.
    pub(crate) fn start(component: &Component, logs: &Path) -> io::Result<Self> {
        let log = logs.join(format!("{}.log", component.name));
        let output = File::create(&log)?;
        let mut command = component.command_after(&["setpriv", "--pdeathsig", "KILL", "--"]);
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let ended = Arc::new(AtomicBool::new(false));
        let (stop, stopped) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn({
            let ended = Arc::clone(&ended);
            move || match command.spawn() {
                Ok(child) => {
                    let _ = tell.send(Ok(()));
                    keep(child, &stopped, &ended);
                }
                Err(error) => {
                    let _ = tell.send(Err(error));
                }
            }
        });
        told.recv()
            .unwrap_or_else(|_| Err(io::Error::other("the keeping thread died")))?;
        Ok(Self {
            name: component.name.clone(),
            log,
            ended,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Whether the process has ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn keep(mut child: Child, stopped: &Receiver<()>, ended: &AtomicBool) {
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(LOOK_EVERY) {
        if !matches!(child.try_wait(), Ok(None)) {
            ended.store(true, Ordering::Release);
            return;
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait;

    fn sleeper(dir: &Path, script: &str) -> Component {
        let script = format!("echo $$ > {}/pid; {script}", dir.display());
        Component::new("sleeper", "sh".into(), &["-c".to_owned(), script])
    }

    #[test]
    fn dropped_keeper_leaves_no_process() {
        let dir = tempfile::tempdir().unwrap();
        let keeper = Keeper::start(&sleeper(dir.path(), "exec sleep 600"), dir.path()).unwrap();
        let read = || {
            std::fs::read_to_string(dir.path().join("pid"))
                .ok()
                .filter(|pid| pid.ends_with('\n'))
        };
        let pid = wait::until(Duration::from_secs(10), read).unwrap();
        let process = PathBuf::from(format!("/proc/{}", pid.trim()));
        assert!(process.exists() && !keeper.has_ended());
        drop(keeper);
        assert!(!process.exists());
    }

    #[test]
    fn end_of_the_process_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let keeper = Keeper::start(&sleeper(dir.path(), "exit 1"), dir.path()).unwrap();
        assert!(
            wait::until(Duration::from_secs(10), || keeper.has_ended().then_some(())).is_some()
        );
    }
}
