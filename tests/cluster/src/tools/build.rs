//! Building one program of a pinned module into its home. A build that is killed leaves nothing
//! that looks finished: programs and folders are renamed into place when they are whole.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::recipe::{Folder, Recipe};
use super::{Tool, ToolsError, file_error};
use crate::command::{run, tail_of};
use crate::progress::Progress;
use crate::wait;

/// How often a build that goes on says so.
const REPORT_EVERY: Duration = Duration::from_secs(20);

pub(super) struct Module<'a> {
    pub(super) source: PathBuf,
    pub(super) home: &'a Path,
    pub(super) go: &'a Path,
}

impl Module<'_> {
    /// Builds `tool`, unless another process did while this one waited its turn.
    pub(super) fn build(&self, tool: Tool, progress: &Progress) -> Result<(), ToolsError> {
        let bin = self.home.join("bin");
        fs::create_dir_all(&bin).map_err(file_error("create", &bin))?;
        let _turn = self.lock()?;
        let recipe = Recipe::read(&self.source)?;
        for folder in &recipe.folders {
            self.copy_folder(folder)?;
        }
        let finished = bin.join(tool.binary());
        if finished.exists() {
            return Ok(());
        }
        let unfinished = self.home.join(format!(".{}.unfinished", tool.binary()));
        self.compile(tool, &recipe, &unfinished, progress)?;
        fs::rename(&unfinished, &finished).map_err(file_error("put in place", &finished))
    }

    fn lock(&self) -> Result<File, ToolsError> {
        let path = self.home.join(".lock");
        let file = File::create(&path).map_err(file_error("create", &path))?;
        flock(&file, FlockOperation::LockExclusive)
            .map_err(|errno| file_error("lock", &path)(errno.into()))?;
        Ok(file)
    }

    fn compile(
        &self,
        tool: Tool,
        recipe: &Recipe,
        out: &Path,
        progress: &Progress,
    ) -> Result<(), ToolsError> {
        let log = self.home.join(format!("{}.log", tool.binary()));
        let log_file = File::create(&log).map_err(file_error("create", &log))?;
        let package = recipe.package_of(tool.binary()).unwrap_or(".");
        // A build does not go on behind the back of a killed caller.
        let mut command = Command::new("setpriv");
        command
            .current_dir(&self.source)
            .args(["--pdeathsig", "KILL", "--"])
            .arg(self.go)
            .args([
                "build",
                "-trimpath",
                "-buildvcs=false",
                "-mod=readonly",
                "-tags",
                &recipe.tags,
            ])
            .args(["-ldflags", format!("-s -w {}", recipe.ldflags).trim(), "-o"])
            .arg(out)
            .arg(package)
            .env("CGO_ENABLED", "0")
            .env_remove("GOFLAGS")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log_file);
        let child = command.spawn().map_err(file_error("run", self.go))?;
        let status = watch(child, tool, progress).map_err(file_error("run", self.go))?;
        if status.success() {
            return Ok(());
        }
        Err(ToolsError::Build {
            tool: tool.binary(),
            tail: tail_of(&log),
            log,
        })
    }

    fn copy_folder(&self, folder: &Folder) -> Result<(), ToolsError> {
        let finished = self.home.join(&folder.path);
        if finished.exists() {
            return Ok(());
        }
        let mut download = Command::new(self.go);
        download
            .current_dir(&self.source)
            .args(["mod", "download"])
            .arg(&folder.module);
        run(&mut download)?;
        let mut list = Command::new(self.go);
        list.current_dir(&self.source)
            .args(["list", "-m", "-f", "{{.Dir}}"])
            .arg(&folder.module);
        let source = PathBuf::from(run(&mut list)?.trim()).join(&folder.path);
        let unfinished = self.home.join(format!(".{}.unfinished", folder.path));
        run(Command::new("rm").arg("-rf").arg(&unfinished))?;
        run(Command::new("cp")
            .args(["-r", "--no-preserve=mode"])
            .arg(&source)
            .arg(&unfinished))?;
        fs::rename(&unfinished, &finished).map_err(file_error("put in place", &finished))
    }
}

fn watch(mut child: Child, tool: Tool, progress: &Progress) -> std::io::Result<ExitStatus> {
    let started = Instant::now();
    loop {
        let ended = wait::until(REPORT_EVERY, || child.try_wait().transpose());
        let seconds = started.elapsed().as_secs();
        if let Some(status) = ended {
            progress.note(&format!("{} built in {seconds} s", tool.binary()));
            return status;
        }
        progress.note(&format!("building {} … {seconds} s", tool.binary()));
    }
}
