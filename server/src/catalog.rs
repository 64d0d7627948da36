//! The tools there are: connector files, loaded once at start, each with the
//! validator of its arguments. What a tenant or a key sees of them is decided
//! elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value, json};
use tenantry_connectors::connector::{Connector, Tool};
use tenantry_connectors::load_error::LoadError;
use tenantry_core::idempotency::{DRY_RUN_ARGUMENT, KEY_ARGUMENT};
use tenantry_core::name::ConnectorName;

/// The connector files of this release, so that the image is one file.
const EMBEDDED: &[(&str, &str)] = &[("meta.yaml", include_str!("../../connectors/meta.yaml"))];

/// A connector file is tens of KiB.
const LARGEST_FILE: u64 = 1 << 20;

/// Why there is no catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The folder or a file in it cannot be read.
    #[error("reading connector files at `{}`", path.display())]
    Read {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: std::io::Error,
    },
    /// A connector file does not load.
    #[error("loading a connector file")]
    Load(#[source] LoadError),
    /// Two files describe the same connector, or two connectors the same tool.
    #[error("`{name}` is defined twice")]
    Twice {
        /// The connector or the tool.
        name: String,
    },
    /// A tool takes an argument that every change has already.
    #[error("the tool `{tool}` has an argument `{argument}` of its own")]
    Reserved {
        /// The tool.
        tool: String,
        /// The argument.
        argument: &'static str,
    },
    /// A tool's input schema is no schema.
    #[error("the input schema of tool `{tool}` does not compile: {problem}")]
    Schema {
        /// The tool.
        tool: String,
        /// What is wrong.
        problem: String,
    },
}

/// Every connector and every tool.
pub struct Catalog {
    connectors: BTreeMap<ConnectorName, Arc<Connector>>,
    tools: BTreeMap<String, Entry>,
}

/// A tool's place in the catalog.
struct Entry {
    connector: Arc<Connector>,
    input_schema: Map<String, Value>,
    validator: Validator,
}

/// A tool that was found.
#[derive(Clone, Copy)]
pub struct Found<'c> {
    /// Whose it is.
    pub connector: &'c Arc<Connector>,
    /// The tool.
    pub tool: &'c Tool,
    /// The schema of its arguments, with those that every change has.
    pub input_schema: &'c Map<String, Value>,
    /// What checks its arguments.
    pub validator: &'c Validator,
}

impl Catalog {
    /// Loads the files of a folder, or those of this release.
    pub fn load(dir: Option<&Path>) -> Result<Self, CatalogError> {
        let files = match dir {
            Some(dir) => read_dir(dir)?,
            None => EMBEDDED
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect(),
        };
        let mut catalog = Self {
            connectors: BTreeMap::new(),
            tools: BTreeMap::new(),
        };
        for (name, text) in files {
            catalog.add(Connector::load(&name, &text).map_err(CatalogError::Load)?)?;
        }
        Ok(catalog)
    }

    /// The connector of that name.
    pub fn connector(&self, name: &ConnectorName) -> Option<&Arc<Connector>> {
        self.connectors.get(name)
    }

    /// How far each vendor may overspend a daily budget, in percent of it.
    pub fn overspend_percent(&self) -> BTreeMap<ConnectorName, u32> {
        let all = self.connectors.iter();
        all.filter_map(|(name, connector)| Some((name.clone(), connector.overspend_percent()?)))
            .collect()
    }

    /// The tool of that name.
    pub fn find(&self, name: &str) -> Option<Found<'_>> {
        let entry = self.tools.get(name)?;
        let tool = entry.connector.tool(name)?;
        Some(Found {
            connector: &entry.connector,
            tool,
            input_schema: &entry.input_schema,
            validator: &entry.validator,
        })
    }

    /// All tools, by name.
    pub fn tools(&self) -> impl Iterator<Item = Found<'_>> {
        self.tools.keys().filter_map(|name| self.find(name))
    }

    fn add(&mut self, connector: Connector) -> Result<(), CatalogError> {
        let connector = Arc::new(connector);
        for tool in connector.tools() {
            let input_schema = input_schema(tool)?;
            let entry = Entry {
                connector: Arc::clone(&connector),
                validator: validator(tool, &input_schema)?,
                input_schema,
            };
            if self.tools.insert(tool.name.to_string(), entry).is_some() {
                return Err(CatalogError::Twice {
                    name: tool.name.to_string(),
                });
            }
        }
        match self.connectors.insert(connector.name().clone(), connector) {
            Some(first) => Err(CatalogError::Twice {
                name: first.name().to_string(),
            }),
            None => Ok(()),
        }
    }
}

/// The arguments of a tool as clients see them. Whether a key must be given
/// depends on the others, so `pipeline::wish` says it, in a sentence.
fn input_schema(tool: &Tool) -> Result<Map<String, Value>, CatalogError> {
    let mut schema = tool.input_schema.clone();
    if !tool.makes_changes() {
        return Ok(schema);
    }
    match add_wish(&mut schema, !tool.only_stops()) {
        None => Ok(schema),
        Some(argument) => Err(CatalogError::Reserved {
            tool: tool.name.to_string(),
            argument,
        }),
    }
}

/// Adds the arguments that every change has; answers one that is there already.
pub(crate) fn add_wish(schema: &mut Map<String, Value>, needs_key: bool) -> Option<&'static str> {
    let need = if needs_key {
        "Required unless dry_run is true."
    } else {
        "May be left out here."
    };
    let told = format!(
        "One key for each change that is meant, such as a UUID: repeat it when the call is repeated, \
         and the change is made once. {need}"
    );
    let own = [
        (
            KEY_ARGUMENT,
            json!({"type": "string", "minLength": 16, "maxLength": 128, "description": told}),
        ),
        (
            DRY_RUN_ARGUMENT,
            json!({
                "type": "boolean",
                "description": "true: say what the change would do and whether it may be made, and change nothing.",
            }),
        ),
    ];
    let properties = schema.get_mut("properties")?.as_object_mut()?;
    let mut own = own.into_iter();
    own.find_map(|(argument, schema)| {
        let is_taken = properties.insert(argument.into(), schema).is_some();
        is_taken.then_some(argument)
    })
}

fn validator(tool: &Tool, schema: &Map<String, Value>) -> Result<Validator, CatalogError> {
    let schema = Value::Object(schema.clone());
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        // Linear time: a pattern must not be a way to make the server think.
        .with_pattern_options(PatternOptions::regex())
        .build(&schema)
        .map_err(|error| CatalogError::Schema {
            tool: tool.name.to_string(),
            problem: error.to_string(),
        })
}

fn read_dir(dir: &Path) -> Result<Vec<(String, String)>, CatalogError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |cause| CatalogError::Read { path, cause }
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed(dir))? {
        let path = entry.map_err(failed(dir))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            paths.push(path);
        }
    }
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let size = std::fs::metadata(&path).map_err(failed(&path))?.len();
        if size > LARGEST_FILE {
            return Err(failed(&path)(std::io::ErrorKind::FileTooLarge.into()));
        }
        let text = std::fs::read_to_string(&path).map_err(failed(&path))?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        files.push((name, text));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connectors_of_this_release_load() {
        let catalog = Catalog::load(None).unwrap();
        assert!(catalog.tools().count() > 0);
        for found in catalog.tools() {
            assert!(
                found
                    .tool
                    .name
                    .as_str()
                    .starts_with(found.connector.name().as_str())
            );
        }
    }

    #[test]
    fn a_folder_of_connector_files_stands_in_for_them() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("readme.txt"), "not a connector").unwrap();
        assert_eq!(Catalog::load(Some(dir.path())).unwrap().tools().count(), 0);
        std::fs::write(dir.path().join("meta.yaml"), EMBEDDED[0].1).unwrap();
        assert!(Catalog::load(Some(dir.path())).unwrap().tools().count() > 0);
        std::fs::write(dir.path().join("broken.yaml"), "connector: [").unwrap();
        assert!(matches!(
            Catalog::load(Some(dir.path())),
            Err(CatalogError::Load(_))
        ));
        let missing = dir.path().join("missing");
        assert!(matches!(
            Catalog::load(Some(&missing)),
            Err(CatalogError::Read { .. })
        ));
    }
}
