//! Writing and recognising a docker-archive: one layer, one configuration, one tag.
//! Times and owners are fixed, so that an archive depends on contents alone.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tar::{Archive, Builder, EntryType, Header};

use super::dockerfile::{Copy, Recipe};
use super::{ImageError, create, file_error};
use crate::tools::hex;

/// What an archive holds: its tag, and the digest that names the image.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The image's name.
    pub(super) tag: String,
    /// The configuration's file name, which is its digest.
    pub(super) config: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    config: String,
    repo_tags: Vec<String>,
}

pub(super) fn write(
    recipe: &Recipe,
    context: &Path,
    tag: &str,
    out: &Path,
) -> Result<(), ImageError> {
    let layer_path = out.with_extension("layer");
    let layer_digest = write_layer(recipe, context, &layer_path)?;
    let config = config(recipe, &layer_digest).to_string();
    let config_name = format!("{}.json", hex(&Sha256::digest(&config)));
    let manifest = json!([
        {"Config": config_name, "RepoTags": [tag], "Layers": ["layer.tar"]}
    ]);
    let finish = || -> io::Result<()> {
        let mut layer = File::open(&layer_path)?;
        let mut archive = Builder::new(BufWriter::new(File::create(out)?));
        // First, so that `identity` need not read the layer.
        append(
            &mut archive,
            "manifest.json",
            0o644,
            manifest.to_string().as_bytes(),
        )?;
        append(&mut archive, &config_name, 0o644, config.as_bytes())?;
        let size = layer.metadata()?.len();
        archive.append_data(
            &mut header(EntryType::Regular, 0o644, size),
            "layer.tar",
            &mut layer,
        )?;
        archive.into_inner()?.flush()?;
        fs::remove_file(&layer_path)
    };
    finish().map_err(file_error("write", out))
}

/// Reads which image an archive holds.
pub(super) fn identity(archive: &Path) -> Result<Identity, ImageError> {
    let file = File::open(archive).map_err(file_error("open", archive))?;
    let not_an_archive = || ImageError::NotAnArchive {
        path: archive.to_owned(),
    };
    let manifest = manifest_of(file).map_err(file_error("read", archive))?;
    let mut images: Vec<Manifest> = manifest
        .and_then(|text| serde_json::from_str(&text).ok())
        .ok_or_else(not_an_archive)?;
    let (Some(mut image), true) = (images.pop(), images.is_empty()) else {
        return Err(not_an_archive());
    };
    match (image.repo_tags.pop(), image.repo_tags.is_empty()) {
        (Some(tag), true) => Ok(Identity {
            tag,
            config: image.config,
        }),
        _ => Err(not_an_archive()),
    }
}

fn manifest_of(file: File) -> io::Result<Option<String>> {
    for entry in Archive::new(file).entries()? {
        let mut entry = entry?;
        if entry.path()?.as_os_str() == "manifest.json" {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// Writes the one layer and returns its digest.
fn write_layer(recipe: &Recipe, context: &Path, out: &Path) -> Result<String, ImageError> {
    let mut layer = Builder::new(BufWriter::new(create(out)?));
    for copy in &recipe.copies {
        add(&mut layer, copy, context)?;
    }
    let mut digest = Sha256::new();
    let finish = || -> io::Result<()> {
        layer.into_inner()?.flush()?;
        io::copy(&mut File::open(out)?, &mut HashWriter(&mut digest)).map(drop)
    };
    finish().map_err(file_error("write", out))?;
    Ok(hex(&digest.finalize()))
}

/// A file as itself, a folder as what is in it; as `COPY` does.
fn add(layer: &mut Builder<impl Write>, copy: &Copy, context: &Path) -> Result<(), ImageError> {
    let from = context.join(&copy.from);
    let metadata = fs::metadata(&from).map_err(file_error("copy", &from))?;
    if metadata.is_dir() {
        return add_folder(layer, &from, Path::new(&copy.to), copy.mode);
    }
    let mut to = PathBuf::from(&copy.to);
    if copy.to.is_empty() || copy.to.ends_with('/') {
        to.push(from.file_name().unwrap_or_default());
    }
    add_file(layer, &from, &to, copy.mode)
}

fn add_folder(
    layer: &mut Builder<impl Write>,
    from: &Path,
    to: &Path,
    mode: Option<u32>,
) -> Result<(), ImageError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(from)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect()
    };
    let mut paths = list().map_err(file_error("list", from))?;
    paths.sort_unstable();
    for path in paths {
        let to = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            add_folder(layer, &path, &to, mode)?;
        } else {
            add_file(layer, &path, &to, mode)?;
        }
    }
    Ok(())
}

fn add_file(
    layer: &mut Builder<impl Write>,
    from: &Path,
    to: &Path,
    mode: Option<u32>,
) -> Result<(), ImageError> {
    let mut add = || -> io::Result<()> {
        let file = File::open(from)?;
        let metadata = file.metadata()?;
        let mode = mode.unwrap_or(metadata.permissions().mode() & 0o777);
        layer.append_data(
            &mut header(EntryType::Regular, mode, metadata.len()),
            to,
            file,
        )
    };
    add().map_err(file_error("copy", from))
}

fn config(recipe: &Recipe, layer_digest: &str) -> Value {
    let labels: Map<String, Value> = recipe
        .labels
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    let ports: Map<String, Value> = recipe
        .ports
        .iter()
        .map(|port| (port.clone(), json!({})))
        .collect();
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Entrypoint": recipe.entrypoint,
            "User": recipe.user.as_deref().unwrap_or_default(),
            "Labels": labels,
            "ExposedPorts": ports,
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
    })
}

fn append(
    archive: &mut Builder<impl Write>,
    name: &str,
    mode: u32,
    contents: &[u8],
) -> io::Result<()> {
    let size = contents.len() as u64;
    archive.append_data(&mut header(EntryType::Regular, mode, size), name, contents)
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::dockerfile;

    const DOCKERFILE: &str =
        "FROM scratch\nCOPY server /\nCOPY conf /etc/conf\nUSER 65532\nENTRYPOINT [\"/server\"]\n";

    fn context() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("server"), "binary").unwrap();
        fs::set_permissions(dir.path().join("server"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir_all(dir.path().join("conf/deep")).unwrap();
        fs::write(dir.path().join("conf/deep/b"), "b").unwrap();
        fs::write(dir.path().join("conf/a"), "a").unwrap();
        dir
    }

    fn build(context: &Path, tag: &str) -> PathBuf {
        let recipe = dockerfile::parse(DOCKERFILE).unwrap();
        let out = context.join("image");
        write(&recipe, context, tag, &out).unwrap();
        out
    }

    #[test]
    fn layer_holds_what_was_copied() {
        let dir = context();
        let recipe = dockerfile::parse(DOCKERFILE).unwrap();
        let layer = dir.path().join("layer");
        write_layer(&recipe, dir.path(), &layer).unwrap();
        let mut archive = Archive::new(File::open(layer).unwrap());
        let name_and_mode = |entry: io::Result<tar::Entry<'_, File>>| {
            let entry = entry.unwrap();
            (
                entry.path().unwrap().display().to_string(),
                entry.header().mode().unwrap(),
            )
        };
        let entries: Vec<_> = archive.entries().unwrap().map(name_and_mode).collect();
        let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["server", "etc/conf/a", "etc/conf/deep/b"]);
        assert_eq!(entries[0].1, 0o755);
    }

    #[test]
    fn same_contents_are_the_same_image() {
        let (one, two) = (context(), context());
        let identity_of = |context: &Path, tag: &str| identity(&build(context, tag)).unwrap();
        let first = identity_of(one.path(), "localhost/server:1");
        assert_eq!(first.tag, "localhost/server:1");
        assert_eq!(first, identity_of(two.path(), "localhost/server:1"));
        fs::write(two.path().join("server"), "other").unwrap();
        assert_ne!(
            first.config,
            identity_of(two.path(), "localhost/server:1").config
        );
    }

    #[test]
    fn other_files_are_no_archives() {
        let dir = context();
        let layer = dir.path().join("layer");
        write_layer(&dockerfile::parse(DOCKERFILE).unwrap(), dir.path(), &layer).unwrap();
        assert!(matches!(
            identity(&layer),
            Err(ImageError::NotAnArchive { .. })
        ));
    }

    #[test]
    fn missing_source_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let recipe = dockerfile::parse(DOCKERFILE).unwrap();
        let error = write(&recipe, dir.path(), "x", &dir.path().join("image")).unwrap_err();
        assert!(error.to_string().ends_with("/server"), "{error}");
    }
}
