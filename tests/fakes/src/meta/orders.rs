//! Orders for single requests: what such a request does and what is answered
//! are two things, as they are where connections break.

use serde::{Deserialize, Serialize};

use super::asked::Asked;
use super::faults::Fault;

/// What happens to the next requests that fit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Whether what is asked for comes about.
    pub applies: Applies,
    /// What the client hears.
    pub answers: Answers,
    /// The code and the subcode of `Fault::Code`.
    #[serde(default)]
    pub code: (i64, Option<i64>),
    /// Send an error with status 200.
    #[serde(default)]
    pub as_success: bool,
    /// Only requests of this method.
    #[serde(default)]
    pub method: Option<String>,
    /// Only requests whose path contains this.
    #[serde(default)]
    pub path: Option<String>,
    /// Only requests that carry this parameter.
    #[serde(default)]
    pub parameter: Option<String>,
    /// Fitting requests that pass unharmed first.
    #[serde(default)]
    pub skip: u32,
    /// How many it strikes.
    #[serde(default = "once")]
    pub times: u32,
}

/// Whether what is asked for comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Applies {
    /// Before the answer.
    AtOnce,
    /// After the answer: when the test says so.
    WhenReleased,
    /// Not at all.
    Never,
}

/// What the client hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answers {
    /// The true answer if it came about at once, else `{"success": true}`.
    Success,
    /// An error or another thing that is no answer.
    Fault(Fault),
    /// Nothing, for as long as the client waits; null in a batch.
    Hang,
    /// The connection is reset before a single byte; null in a batch.
    Break,
}

impl Order {
    /// For the next write, whatever it is.
    pub fn next_write(applies: Applies, answers: Answers) -> Self {
        Self {
            applies,
            answers,
            code: (0, None),
            as_success: false,
            method: Some("POST".into()),
            path: None,
            parameter: None,
            skip: 0,
            times: once(),
        }
    }

    fn fits(&self, asked: &Asked) -> bool {
        let method = self.method.as_ref();
        let (path, parameter) = (self.path.as_ref(), self.parameter.as_ref());
        method.is_none_or(|method| *method == asked.method)
            && path.is_none_or(|part| asked.path().contains(part.as_str()))
            && parameter.is_none_or(|name| asked.parameter(name).is_some())
    }
}

fn once() -> u32 {
    1
}

/// The orders that are open, oldest first.
#[derive(Default)]
pub(super) struct Orders {
    open: Vec<Order>,
}

impl Orders {
    pub fn add(&mut self, order: Order) {
        self.open.push(order);
    }

    pub fn open(&self) -> Vec<Order> {
        self.open.clone()
    }

    pub fn forget(&mut self) {
        self.open.clear();
    }

    /// The order for this request, if one is due; it counts as used.
    pub fn strike(&mut self, asked: &Asked) -> Option<Order> {
        let due = self.open.iter().position(|order| order.fits(asked))?;
        let order = self.open.get_mut(due)?;
        if order.skip > 0 {
            order.skip -= 1;
            return None;
        }
        let struck = order.clone();
        order.times = order.times.saturating_sub(1);
        if order.times == 0 {
            self.open.remove(due);
        }
        (struck.times > 0).then_some(struck)
    }
}
