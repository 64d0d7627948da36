//! The words and signs of an expression.

use super::{Cause, ExpressionError};

/// One word or sign, and where it stands in bytes.
#[derive(Debug, Clone)]
pub(super) struct Token<'s> {
    pub kind: Kind<'s>,
    pub start: usize,
    pub end: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind<'s> {
    Name(&'s str),
    Number(u64),
    Text(String),
    Sign(&'static str),
    End,
}

/// Longer ones first: `<=` is not `<` and `=`.
const SIGNS: &[&str] = &[
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "-", "+", "*", "/", "%", "?", ":", "(", ")",
    "[", "]", "{", "}", ",", ".",
];

/// All of them, and an end.
pub(super) fn tokens(source: &str) -> Result<Vec<Token<'_>>, ExpressionError> {
    let mut found = Vec::new();
    let mut start = 0;
    while let Some(rest) = source.get(start..).filter(|rest| !rest.is_empty()) {
        let blank = blank(rest);
        if blank > 0 {
            start += blank;
            continue;
        }
        let (kind, length) =
            token(rest).map_err(|cause| ExpressionError::at(source, start, cause))?;
        let end = start + length;
        found.push(Token { kind, start, end });
        start = end;
    }
    found.push(Token {
        kind: Kind::End,
        start,
        end: start,
    });
    Ok(found)
}

/// Bytes of white space, or of a comment up to the end of its line.
fn blank(rest: &str) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    rest.bytes().take_while(|byte| is_blank(byte)).count()
}

fn token(rest: &str) -> Result<(Kind<'_>, usize), Cause> {
    let first = rest.chars().next().unwrap_or_default();
    if first == '"' || first == '\'' {
        return text(rest, first);
    }
    if first.is_ascii_digit() {
        return number(rest);
    }
    if first.is_ascii_alphabetic() || first == '_' {
        let name = word(rest);
        return Ok((Kind::Name(name), name.len()));
    }
    let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
    match sign {
        Some(sign) => Ok((Kind::Sign(sign), sign.len())),
        None => Err(Cause::Unexpected(first.to_string())),
    }
}

fn word(rest: &str) -> &str {
    let belongs = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
    let end = rest.find(|sign| !belongs(sign)).unwrap_or(rest.len());
    rest.get(..end).unwrap_or(rest)
}

fn number(rest: &str) -> Result<(Kind<'_>, usize), Cause> {
    let digits = word(rest);
    if rest
        .get(digits.len()..)
        .is_some_and(|rest| rest.starts_with('.'))
    {
        let message = "there are whole numbers only; an amount is written as amount(\"0.50\")";
        return Err(Cause::Unsupported(message));
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Cause::Unexpected(digits.to_owned()));
    }
    match digits.parse() {
        Ok(value) => Ok((Kind::Number(value), digits.len())),
        Err(_) => Err(Cause::Unsupported("the number is too large")),
    }
}

fn text(rest: &str, quote: char) -> Result<(Kind<'_>, usize), Cause> {
    let mut text = String::new();
    let mut signs = rest.char_indices().skip(1);
    while let Some((at, sign)) = signs.next() {
        match sign {
            sign if sign == quote => return Ok((Kind::Text(text), at + quote.len_utf8())),
            '\n' => break,
            '\\' => {
                let Some((_, escaped @ ('\\' | '"' | '\''))) = signs.next() else {
                    let message = "in texts, a backslash stands only before a quote or a backslash";
                    return Err(Cause::Unsupported(message));
                };
                text.push(escaped);
            }
            sign => text.push(sign),
        }
    }
    Err(Cause::Unsupported("the text does not end"))
}
