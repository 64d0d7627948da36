//! The servers of one organisation, which share a ledger.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use futures::future::try_join_all;

use crate::program::{Program, Said, Start, in_folder};

/// How many there are.
pub const REPLICAS: usize = 3;

/// Busy machines answer late, and what is not known takes long to find out.
const VENDOR_WITHIN_MS: u32 = 15_000;

/// What every process is started with.
pub struct Common {
    /// The documents.
    pub dir: PathBuf,
    /// The file that says where the ledger is.
    pub ledger: PathBuf,
    /// The fake vendor.
    pub vendor: String,
}

/// Running servers.
pub struct Replicas {
    common: Common,
    programs: Vec<Program>,
    urls: Urls,
    /// What every process said, whatever became of it.
    pub said: Vec<Said>,
}

/// Where the servers are now, for whoever calls them.
#[derive(Clone, Default)]
pub struct Urls(Arc<Mutex<[String; REPLICAS]>>);

impl Urls {
    /// Where one is.
    pub fn of(&self, number: usize) -> String {
        self.0.lock().unwrap()[number % REPLICAS].clone()
    }

    fn set(&self, number: usize, url: &str) {
        url.clone_into(&mut self.0.lock().unwrap()[number]);
    }
}

impl Replicas {
    /// Starts all of them.
    pub async fn start(common: Common) -> Result<Self> {
        let mut all = Self {
            common,
            programs: Vec::new(),
            urls: Urls::default(),
            said: Vec::new(),
        };
        for _ in 0..REPLICAS {
            let program = all.program(0)?;
            all.programs.push(program);
        }
        all.serve().await?;
        Ok(all)
    }

    /// Where they are.
    pub fn urls(&self) -> Urls {
        self.urls.clone()
    }

    /// Kills those, and starts others in their place; `later` is how often the
    /// clocks of those went ahead.
    pub async fn replace(&mut self, who: &[usize], later: u32) -> Result<()> {
        for number in who {
            self.programs[*number].kill().await?;
        }
        for number in who {
            self.programs[*number] = self.program(later)?;
        }
        self.serve().await
    }

    /// Ends all of them in order.
    pub async fn end(&mut self) -> Result<()> {
        try_join_all(self.programs.iter_mut().map(Program::end)).await?;
        Ok(())
    }

    fn program(&mut self, later: u32) -> Result<Program> {
        let home = in_folder(&self.common.dir, &self.common.vendor);
        let program = Program::start(Start {
            home: &home,
            kubeconfig: None,
            ledger: ("--ledger-postgres", &self.common.ledger),
            dies_after: None,
            gate: None,
            number: later,
            vendor_within_ms: VENDOR_WITHIN_MS,
        })?;
        self.said.push(program.said());
        Ok(program)
    }

    async fn serve(&mut self) -> Result<()> {
        try_join_all(self.programs.iter_mut().map(Program::serves)).await?;
        for (number, program) in self.programs.iter().enumerate() {
            self.urls.set(number, program.url());
        }
        Ok(())
    }
}
