//! From text to a compiled connector. The loader refuses whatever it does not
//! fully understand, with the line and the reason.

mod change;
mod exposure;
mod output;
mod rules;
mod schema;
mod shape;
mod spend_root;
mod subject;
mod tool;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use http::HeaderName;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{DefaultMessageFormatter, Error, MessageFormatter, Spanned};
use tenantry_core::name::ConnectorName;
use url::Url;

use crate::connector::Connector;
use crate::form::{AuthForm, ConfirmForm, ConnectorForm, InspectForm, ObjectsForm, RowAccountForm};
use crate::load_error::LoadError;
use crate::pattern::Pattern;
use crate::plan::{
    AccountPlan, ApiPlan, AuthPlan, ConfirmPlan, ErrorBodyPlan, InspectPlan, ObjectsPlan, Segment,
};
use crate::pointer::Pointer;

/// Far above any file of ours; a larger one is not a connector file.
const MOST_BYTES: usize = 1 << 20;

/// Something doubtful, not yet with the name of its file.
#[derive(Debug)]
pub(crate) struct Doubt {
    line: u64,
    reason: String,
}

/// A doubt about what stands at `place`.
fn doubt<T, R>(place: &Spanned<T>, reason: impl Into<String>) -> Result<R, Doubt> {
    Err(Doubt {
        line: place.referenced.line(),
        reason: reason.into(),
    })
}

/// Compiles the text of a connector file.
pub(crate) fn connector(file_name: &str, text: &str) -> Result<Connector, LoadError> {
    let named = |Doubt { line, reason }| LoadError {
        file: file_name.to_owned(),
        line,
        reason,
    };
    let form = read(text).map_err(named)?;
    compile(&form).map_err(named)
}

fn read(text: &str) -> Result<ConnectorForm, Doubt> {
    if text.len() > MOST_BYTES {
        return Err(Doubt {
            line: 1,
            reason: format!("the file is longer than {MOST_BYTES} bytes"),
        });
    }
    let mut options = serde_saphyr::Options::default();
    options.duplicate_keys = DuplicateKeyPolicy::Error;
    options.merge_keys = MergeKeyPolicy::Error;
    options.alias_limits.max_total_replayed_events = 0;
    options.strict_booleans = true;
    options.reject_unsupported_tags = true;
    options.with_snippet = false;
    serde_saphyr::from_str_with_options(text, options).map_err(|error| Doubt {
        line: error.location().map_or(1, |location| location.line()),
        reason: match &error {
            Error::DuplicateMappingKey { key: Some(key), .. } => {
                format!("key `{key}` stands twice")
            }
            Error::AliasReplayLimitExceeded { .. } => {
                "aliases hide what a file asks for".to_owned()
            }
            _ => DefaultMessageFormatter.format_message(&error).into_owned(),
        },
    })
}

fn compile(form: &ConnectorForm) -> Result<Connector, Doubt> {
    let name = match ConnectorName::parse(&form.connector.value) {
        Ok(name) => name,
        Err(error) => return doubt(&form.connector, error.to_string()),
    };
    let api = api(form)?;
    let mut names = BTreeSet::new();
    let mut tools = Vec::new();
    for tool in &form.tools {
        if !names.insert(&tool.name.value) {
            return doubt(
                &tool.name,
                format!("tool `{}` stands twice", tool.name.value),
            );
        }
        tools.push(tool::compile(&name, &api, form, tool)?);
    }
    if tools.is_empty() {
        return doubt(&form.connector, "the file has no tools");
    }
    Ok(Connector { name, api, tools })
}

fn api(form: &ConnectorForm) -> Result<ApiPlan, Doubt> {
    let body = &form.error_body;
    let mut api = ApiPlan {
        base_url: base_url(&form.api.base)?,
        version: version(&form.api.version)?,
        version_header: form.api.version_header.as_ref().map(header).transpose()?,
        warning_header: form.api.warning_header.as_ref().map(header).transpose()?,
        request_id_headers: request_id_headers(&form.api.request_id_headers)?,
        auth: auth(&form.auth)?,
        account_pattern: id_pattern(&form.accounts.pattern, "account")?,
        confirm: form.accounts.confirm.as_ref().map(confirm).transpose()?,
        objects: form.objects.as_ref().map(objects).transpose()?,
        spend_root: None,
        exposure: None,
        changes: None,
        error_body: ErrorBodyPlan {
            code: pointer(&body.code)?,
            subcode: pointer(&body.subcode)?,
            message: pointer(&body.message)?,
        },
        errors: rules::errors(&form.errors)?,
        quota: rules::quota(&form.quota)?,
    };
    let spend_root = form.spend_root.as_ref();
    api.spend_root = spend_root
        .map(|form| spend_root::compile(form, &api))
        .transpose()?;
    let exposure = form.exposure.as_ref();
    api.exposure = exposure
        .map(|form| exposure::compile(form, &api))
        .transpose()?;
    let changes = form.changes.as_ref();
    api.changes = changes
        .map(|form| change::changes(form, api.spend_root.as_ref()))
        .transpose()?;
    Ok(api)
}

fn auth(form: &AuthForm) -> Result<AuthPlan, Doubt> {
    let proof = form.proof.as_ref().map(|proof| word(&proof.parameter));
    let inspect = |form: &InspectForm| {
        if form.expires.is_empty() {
            return doubt(&form.path, "`inspect` reads nowhere when a token ends");
        }
        Ok(InspectPlan {
            path: path(&form.path, None, |_| false)?,
            parameter: word(&form.parameter)?,
            valid: pointer(&form.valid)?,
            expires: form.expires.iter().map(pointer).collect::<Result<_, _>>()?,
        })
    };
    Ok(AuthPlan {
        proof_parameter: proof.transpose()?,
        inspect: form.inspect.as_ref().map(inspect).transpose()?,
    })
}

fn base_url(base: &Spanned<String>) -> Result<Url, Doubt> {
    let text = base.value.as_str();
    let Ok(url) = Url::parse(text) else {
        return doubt(base, format!("`{text}` is not a URL"));
    };
    if url.scheme() != "https" {
        return doubt(base, format!("base URL `{text}` is not https"));
    }
    let host = url.host_str().unwrap_or_default();
    // A port, path, user or query would make the two differ.
    if text != format!("https://{host}") || !matches!(url.host(), Some(url::Host::Domain(_))) {
        return doubt(
            base,
            format!("base URL `{text}` is more than https:// and a host name"),
        );
    }
    Ok(url)
}

fn version(version: &Spanned<String>) -> Result<String, Doubt> {
    let text = version.value.as_str();
    let plain = |one: u8| one.is_ascii_alphanumeric() || one == b'.' || one == b'-';
    if text.is_empty() || text.starts_with('.') || text.len() > 16 || !text.bytes().all(plain) {
        return doubt(
            version,
            format!("version `{text}` cannot be a path segment"),
        );
    }
    Ok(text.to_owned())
}

fn header(name: &Spanned<String>) -> Result<HeaderName, Doubt> {
    match HeaderName::from_bytes(name.value.as_bytes()) {
        Ok(header) if header.as_str() == name.value => Ok(header),
        _ => doubt(
            name,
            format!("`{}` is not a header name in small letters", name.value),
        ),
    }
}

fn request_id_headers(names: &[Spanned<String>]) -> Result<Vec<HeaderName>, Doubt> {
    names.iter().map(header).collect()
}

/// The pattern of ids that will stand in paths.
fn id_pattern(form: &Spanned<String>, whose: &str) -> Result<Pattern, Doubt> {
    match Pattern::parse(&form.value) {
        Ok(pattern) if pattern.is_path_safe() => Ok(pattern),
        Ok(_) => doubt(
            form,
            format!("the {whose} pattern admits more than one plain path segment"),
        ),
        Err(problem) => doubt(form, problem),
    }
}

fn confirm(form: &ConfirmForm) -> Result<ConfirmPlan, Doubt> {
    Ok(ConfirmPlan {
        path: path_with_slot(&form.path, "account", "confirm")?,
        id_field: word(&form.id)?,
        currency_field: word(&form.currency)?,
    })
}

fn objects(form: &ObjectsForm) -> Result<ObjectsPlan, Doubt> {
    let mut kinds: Vec<String> = Vec::new();
    for kind in &form.kinds {
        if kind.value == "account" || kinds.contains(&kind.value) {
            return doubt(kind, format!("object kind `{}` is taken", kind.value));
        }
        kinds.push(word(kind)?);
    }
    if kinds.is_empty() {
        return doubt(&form.pattern, "there are no kinds of objects");
    }
    Ok(ObjectsPlan {
        kinds,
        pattern: id_pattern(&form.pattern, "object")?,
        path: path_with_slot(&form.own.path, "object", "own")?,
        id_field: word(&form.own.id)?,
        account: row_account(&form.own.account)?,
    })
}

/// Where a row says whose it is, without asking whether it was requested.
fn row_account(form: &RowAccountForm) -> Result<AccountPlan, Doubt> {
    Ok(AccountPlan {
        field: word(&form.field)?,
        prefix: form.prefix.clone(),
    })
}

fn path_with_slot(form: &Spanned<String>, slot: &str, whose: &str) -> Result<Vec<Segment>, Doubt> {
    let path = path(form, Some(slot), |_| false)?;
    if !path.contains(&Segment::Slot) {
        return doubt(form, format!("the path of `{whose}` lacks `{{{slot}}}`"));
    }
    Ok(path)
}

/// A path of literals, `{version}` and one slot.
fn path(
    path: &Spanned<String>,
    slot: Option<&str>,
    is_argument: impl Fn(&str) -> bool,
) -> Result<Vec<Segment>, Doubt> {
    let Some(rest) = path.value.strip_prefix('/') else {
        return doubt(
            path,
            format!("path `{}` does not begin with `/`", path.value),
        );
    };
    let segments: Vec<Segment> = rest
        .split('/')
        .map(|segment| self::segment(path, segment, slot, &is_argument))
        .collect::<Result<_, _>>()?;
    let slots = segments.iter().filter(|one| **one == Segment::Slot).count();
    if slots > 1 {
        return doubt(path, "the path holds its slot twice");
    }
    Ok(segments)
}

fn segment(
    path: &Spanned<String>,
    segment: &str,
    slot: Option<&str>,
    is_argument: impl Fn(&str) -> bool,
) -> Result<Segment, Doubt> {
    let named = segment
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    match named {
        Some("version") => Ok(Segment::Version),
        Some(named) if Some(named) == slot => Ok(Segment::Slot),
        Some(named) if is_argument(named) => doubt(
            path,
            format!(
                "path slot `{{{named}}}` names an argument, whose owner nothing proves; only `{{subject}}` may stand in a path"
            ),
        ),
        Some(named) => doubt(
            path,
            format!("path slot `{{{named}}}` is not one that can stand here"),
        ),
        None if is_word(segment) => Ok(Segment::Literal(segment.to_owned())),
        None => doubt(
            path,
            format!("path segment `{segment}` is neither a plain word nor a slot"),
        ),
    }
}

/// A JSON pointer of plain names.
fn pointer(pointer: &Spanned<String>) -> Result<Pointer, Doubt> {
    let text = pointer.value.as_str();
    match Pointer::parse(text, is_word) {
        Some(parsed) => Ok(parsed),
        None => doubt(
            pointer,
            format!("`{text}` is not a pointer such as `/error/code`"),
        ),
    }
}

/// A name of a field, argument or parameter.
fn word(name: &Spanned<String>) -> Result<String, Doubt> {
    if is_word(&name.value) {
        Ok(name.value.clone())
    } else {
        doubt(
            name,
            format!("`{}` is not a name of a-z, 0-9 and `_`", name.value),
        )
    }
}

/// A name of something that is sent, and is no command to the vendor.
fn command_free(name: &Spanned<String>) -> Result<String, Doubt> {
    schema::refuse_command(name)?;
    word(name)
}

/// Refuses parameters that one request would have twice.
fn sent_once<'n, T>(
    place: &Spanned<T>,
    parameters: impl Iterator<Item = &'n str>,
) -> Result<(), Doubt> {
    match twin(parameters) {
        Some(twice) => doubt(
            place,
            format!("parameter `{twice}` is sent with two values"),
        ),
        None => Ok(()),
    }
}

/// The first name that stands twice.
fn twin<'n>(mut names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let mut seen = BTreeSet::new();
    names.find(|name| !seen.insert(*name))
}

fn bounded(number: &Spanned<u32>, bounds: RangeInclusive<u32>) -> Result<u32, Doubt> {
    if bounds.contains(&number.value) {
        return Ok(number.value);
    }
    let (least, most) = bounds.into_inner();
    let reason = format!("{} is not between {least} and {most}", number.value);
    doubt(number, reason)
}

fn is_word(text: &str) -> bool {
    let plain = |one: u8| one.is_ascii_lowercase() || one.is_ascii_digit() || one == b'_';
    !text.is_empty() && text.len() <= 64 && text.bytes().all(plain)
}
