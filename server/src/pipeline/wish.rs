//! How a change is asked for: under which key, and whether in earnest. Taken
//! out of the arguments, which say what shall be.

use serde_json::{Map, Value};
use tenantry_connectors::change::Target;
use tenantry_core::digest::Digest;
use tenantry_core::idempotency::{DRY_RUN_ARGUMENT, IdempotencyKey, KEY_ARGUMENT, fingerprint};
use tenantry_core::name::ToolName;
use tenantry_core::policy::facts::Undoes;
use tenantry_core::reason::{Reason, Refusal};

/// How a change is asked for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The key of the change; what only stops may come without.
    pub key: Option<IdempotencyKey>,
    /// Whether it is only asked what the change would do.
    pub is_dry_run: bool,
    /// What stands for tool and arguments.
    pub fingerprint: Digest,
    /// The change that it takes back, if it takes one back.
    pub undoes: Option<Undoes>,
    /// The batch that it is an item of, by its id.
    pub batch: Option<String>,
    /// What that one made of the object, which must still be so; nothing where
    /// all that was there is pinned.
    pub left: Option<Target>,
}

impl Wish {
    /// That of a change of a batch, which has neither key nor doubts of its own.
    pub fn of_item(batch: Option<String>) -> Self {
        Self {
            key: None,
            is_dry_run: false,
            fingerprint: Digest::of(b"item"),
            undoes: None,
            batch,
            left: None,
        }
    }

    /// Takes it out of the arguments of `tool`; `needs_key` if it may not be
    /// called without one in earnest.
    pub fn take(
        arguments: &mut Map<String, Value>,
        tool: &ToolName,
        needs_key: bool,
    ) -> Result<Self, Refusal> {
        let no = |argument, what| {
            let message = format!("`{argument}` is not {what}");
            Refusal::new(Reason::ArgumentsInvalid, message)
        };
        let key = arguments.remove(KEY_ARGUMENT);
        let is_dry_run = match arguments.remove(DRY_RUN_ARGUMENT) {
            None => false,
            Some(Value::Bool(is_dry_run)) => is_dry_run,
            Some(_) => return Err(no(DRY_RUN_ARGUMENT, "true or false")),
        };
        let key = match key {
            Some(Value::String(text)) => Some(IdempotencyKey::parse(&text).map_err(|error| {
                Refusal::new(Reason::ArgumentsInvalid, error.to_string())
                    .with_remedy("make a new idempotency_key for each change, such as a UUID")
            })?),
            Some(_) => return Err(no(KEY_ARGUMENT, "a text")),
            None if is_dry_run || !needs_key => None,
            None => {
                let message =
                    format!("`{KEY_ARGUMENT}` is missing; it makes a repeated call one change");
                return Err(Refusal::new(Reason::ArgumentsInvalid, message).with_remedy(
                    "give an idempotency_key, such as a UUID, or ask first with dry_run: true",
                ));
            }
        };
        Ok(Self {
            key,
            is_dry_run,
            fingerprint: fingerprint(tool, arguments),
            undoes: None,
            batch: None,
            left: None,
        })
    }
}
