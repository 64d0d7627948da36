//! Carries out the plan, stage by stage, then watches.

use std::convert::Infallible;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use super::crew::Crew;
use super::{Event, NodeError, system, tell};
use crate::command::succeeds;
use crate::plan::{Plan, Stage, Text};
use crate::site;
use crate::wait;

/// Seen: 5, 3 and 12 s on an idle machine.
const STAGE_WITHIN: Duration = Duration::from_mins(4);

/// Runs the node; `control_plane` names the network namespace of its control plane.
/// Returns when the node cannot go on.
pub fn run(control_plane: &str) -> Result<Infallible, NodeError> {
    let error = match carry_out(control_plane) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    let name = match &error {
        NodeError::GaveUp { name } => Some(name.clone()),
        _ => None,
    };
    tell(&Event::Failed {
        reason: error.to_string(),
        name,
    })?;
    Err(error)
}

fn carry_out(control_plane: &str) -> Result<Infallible, NodeError> {
    let path = site::plan();
    let plan = fs::read(&path).map_err(system("read", &path))?;
    let plan: Plan = serde_json::from_slice(&plan).map_err(NodeError::Plan)?;
    for file in &plan.files {
        write(file)?;
    }
    let (failed, failures) = mpsc::channel();
    let crew = Crew {
        control_plane: control_plane.to_owned(),
        failed,
    };
    for stage in plan.stages {
        carry_out_stage(&crew, &failures, stage)?;
    }
    // `crew` holds a sender, so this waits until a program is given up.
    Err(failures.recv().unwrap_or(NodeError::Usage))
}

fn carry_out_stage(
    crew: &Crew,
    failures: &Receiver<NodeError>,
    stage: Stage,
) -> Result<(), NodeError> {
    for (place, component) in stage.start {
        crew.start(place, component);
    }
    let outcome = wait::until(STAGE_WITHIN, || match failures.try_recv() {
        Ok(error) => Some(Err(error)),
        Err(_) => is_done(&stage.done_when).then_some(Ok(())),
    });
    outcome.unwrap_or_else(|| {
        Err(NodeError::Late {
            stage: stage.name.clone(),
        })
    })?;
    stage.then_write.as_ref().map_or(Ok(()), write)?;
    tell(&Event::Done { stage: stage.name })
}

fn is_done(line: &[String]) -> bool {
    line.split_first()
        .is_some_and(|(program, args)| succeeds(Command::new(program).args(args)))
}

fn write(file: &Text) -> Result<(), NodeError> {
    let write = || -> io::Result<()> {
        fs::create_dir_all(file.path.parent().unwrap_or(Path::new("/")))?;
        fs::write(&file.path, &file.contents)?;
        let mode = if file.executable { 0o755 } else { 0o644 };
        fs::set_permissions(&file.path, Permissions::from_mode(mode))
    };
    write().map_err(system("write", &file.path))
}
