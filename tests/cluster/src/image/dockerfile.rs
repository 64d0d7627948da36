//! A strict reader of Dockerfiles that need no shell and no other image: `FROM scratch`, then
//! `COPY`, `USER`, `ENTRYPOINT`, `LABEL`, `EXPOSE`. Anything else is refused, never skipped,
//! so that what is tested here is what Docker would build. Pure.

/// A Dockerfile that is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DockerfileError {
    /// Not one of the instructions that are done here.
    #[error("line {line}: `{instruction}` is not supported here")]
    Unsupported {
        /// The line, from 1.
        line: usize,
        /// Its first word.
        instruction: String,
    },
    /// An instruction in a form that is not done here.
    #[error("line {line}: {reason}")]
    Malformed {
        /// The line, from 1.
        line: usize,
        /// What is expected.
        reason: &'static str,
    },
    /// It does not begin with `FROM scratch`.
    #[error("the first instruction is not `FROM scratch`")]
    NotFromScratch,
}

/// What a Dockerfile asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Recipe {
    pub(super) copies: Vec<Copy>,
    pub(super) user: Option<String>,
    pub(super) entrypoint: Vec<String>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) ports: Vec<String>,
}

/// `COPY [--chmod=<mode>] <from> <to>`, both without a leading slash.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) mode: Option<u32>,
}

pub(super) fn parse(text: &str) -> Result<Recipe, DockerfileError> {
    let mut instructions = instructions(text).into_iter();
    let (_, first) = instructions.next().ok_or(DockerfileError::NotFromScratch)?;
    if !is_from_scratch(&first) {
        return Err(DockerfileError::NotFromScratch);
    }
    let mut recipe = Recipe::default();
    for (line, instruction) in instructions {
        apply(&mut recipe, line, &instruction)?;
    }
    Ok(recipe)
}

/// Instructions with the line on which each begins; comments dropped, continuations joined.
fn instructions(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (begin, mut joined) = open.take().unwrap_or((index + 1, String::new()));
        let continued = line.strip_suffix('\\');
        joined.push_str(continued.unwrap_or(line));
        if continued.is_some() {
            open = Some((begin, joined));
        } else {
            found.push((begin, joined));
        }
    }
    found.extend(open);
    found
}

fn is_from_scratch(instruction: &str) -> bool {
    let words: Vec<&str> = instruction.split_whitespace().collect();
    matches!(words.as_slice(), [from, "scratch"] if from.eq_ignore_ascii_case("from"))
}

fn apply(recipe: &mut Recipe, line: usize, instruction: &str) -> Result<(), DockerfileError> {
    let malformed = |reason| DockerfileError::Malformed { line, reason };
    let (word, rest) = instruction
        .split_once(char::is_whitespace)
        .unwrap_or((instruction, ""));
    let rest = rest.trim();
    if rest.contains('$') {
        return Err(malformed("variables are not supported here"));
    }
    match word.to_ascii_uppercase().as_str() {
        "COPY" => recipe.copies.push(copy(rest).map_err(malformed)?),
        "USER" => recipe.user = Some(one_word(rest).map_err(malformed)?),
        "ENTRYPOINT" => recipe.entrypoint = entrypoint(rest).map_err(malformed)?,
        "LABEL" => recipe.labels.extend(labels(rest).map_err(malformed)?),
        "EXPOSE" => recipe.ports.extend(ports(rest).map_err(malformed)?),
        _ => {
            return Err(DockerfileError::Unsupported {
                line,
                instruction: word.to_owned(),
            });
        }
    }
    Ok(())
}

fn copy(rest: &str) -> Result<Copy, &'static str> {
    let mut words: Vec<&str> = rest.split_whitespace().collect();
    let mut mode = None;
    if let Some(octal) = words.first().and_then(|word| word.strip_prefix("--chmod=")) {
        mode = Some(u32::from_str_radix(octal, 8).map_err(|_| "`--chmod` takes an octal number")?);
        words.remove(0);
    }
    let [from, to] = words.as_slice() else {
        return Err("`COPY` takes one source and one destination");
    };
    if from.starts_with(['-', '[', '"']) || from.contains(['*', '?']) {
        return Err("`COPY` takes plain paths and `--chmod` only");
    }
    if from
        .split('/')
        .chain(to.split('/'))
        .any(|part| part == "..")
    {
        return Err("`COPY` stays inside the context and the image");
    }
    let to = to
        .strip_prefix('/')
        .ok_or("the destination of `COPY` begins with `/`")?;
    Ok(Copy {
        from: from.trim_start_matches('/').to_owned(),
        to: to.to_owned(),
        mode,
    })
}

fn one_word(rest: &str) -> Result<String, &'static str> {
    match rest.split_whitespace().collect::<Vec<_>>().as_slice() {
        [word] => Ok((*word).to_owned()),
        _ => Err("one word is expected"),
    }
}

fn entrypoint(rest: &str) -> Result<Vec<String>, &'static str> {
    serde_json::from_str(rest).map_err(|_| "`ENTRYPOINT` takes a JSON list; there is no shell")
}

fn ports(rest: &str) -> Result<Vec<String>, &'static str> {
    let port = |word: &str| {
        let (number, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
        let valid = number.parse::<u16>().is_ok() && matches!(protocol, "tcp" | "udp");
        valid
            .then(|| format!("{number}/{protocol}"))
            .ok_or("`EXPOSE` takes ports")
    };
    rest.split_whitespace().map(port).collect()
}

/// `name=value` or `"name"="a value"`, several on a line.
fn labels(rest: &str) -> Result<Vec<(String, String)>, &'static str> {
    const EXPECTED: &str = "`LABEL` takes name=\"value\" pairs";
    let mut found = Vec::new();
    let mut left = rest;
    while !left.is_empty() {
        let (name, after) = left.split_once('=').ok_or(EXPECTED)?;
        let name = name.trim_matches('"');
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(EXPECTED);
        }
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or(EXPECTED)?,
            None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
        };
        if value.contains('\\') {
            return Err("escapes in `LABEL` are not supported here");
        }
        found.push((name.to_owned(), value.to_owned()));
        left = after.trim_start();
    }
    if found.is_empty() {
        Err(EXPECTED)
    } else {
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_supported_instruction_is_read() {
        let recipe = parse(
            "# syntax comment\nFROM scratch\nCOPY --chmod=0755 out/server /usr/bin/\n\
             COPY ca.pem /etc/ca.pem\nUSER 65532:65532\nEXPOSE 8080 9090/udp\n\
             LABEL org.opencontainers.image.title=\"A server\" \\\n  \"team\"=x\n\
             ENTRYPOINT [\"/usr/bin/server\", \"--serve\"]\n",
        )
        .unwrap();
        let copy = |from: &str, to: &str, mode| Copy {
            from: from.into(),
            to: to.into(),
            mode,
        };
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            recipe,
            Recipe {
                copies: vec![
                    copy("out/server", "usr/bin/", Some(0o755)),
                    copy("ca.pem", "etc/ca.pem", None)
                ],
                user: Some("65532:65532".to_owned()),
                entrypoint: vec!["/usr/bin/server".to_owned(), "--serve".to_owned()],
                labels: vec![
                    label("org.opencontainers.image.title", "A server"),
                    label("team", "x")
                ],
                ports: vec!["8080/tcp".to_owned(), "9090/udp".to_owned()],
            }
        );
    }

    #[test]
    fn other_bases_are_refused() {
        for text in [
            "",
            "FROM debian",
            "FROM scratch AS base",
            "COPY a /a\nFROM scratch",
        ] {
            assert_eq!(
                parse(text),
                Err(DockerfileError::NotFromScratch),
                "{text:?}"
            );
        }
    }

    #[test]
    fn other_instructions_are_refused_by_line() {
        let error = parse("FROM scratch\n\nRUN make \\\n  all\n").unwrap_err();
        assert_eq!(error.to_string(), "line 3: `RUN` is not supported here");
        assert!(parse("FROM scratch\nFROM scratch\n").is_err());
    }

    #[test]
    fn forms_that_docker_reads_differently_are_refused() {
        for instruction in [
            "COPY a b /c/",
            "COPY a c",
            "COPY ../a /c",
            "COPY --from=x a /c",
            "COPY *.txt /c/",
            "COPY $A /c",
            "COPY --chmod=u+x a /c",
            "USER",
            "USER a b",
            "ENTRYPOINT /bin/x",
            "EXPOSE http",
            "EXPOSE 70000",
            "LABEL",
            "LABEL a",
            "LABEL a=\"b",
            "LABEL a=\"\\n\"",
        ] {
            let error = parse(&format!("FROM scratch\n{instruction}\n"));
            assert!(
                matches!(error, Err(DockerfileError::Malformed { line: 2, .. })),
                "{instruction}: {error:?}"
            );
        }
    }
}
