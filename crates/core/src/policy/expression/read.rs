//! From words and signs to a tree whose names and types fit, or the place
//! where they do not. The grammar is that of CEL, as far as the language goes.

mod meaning;

use super::known::{FIELDS, Field};
use super::token::{Kind, Token, tokens};
use super::tree::{Condition, Number, Part as TextPart, Text};
use super::{Cause, DEEPEST, ExpressionError, MOST_PARTS};
use crate::policy::amount::Amount;

/// Reads an expression of type bool.
pub(super) fn read(source: &str) -> Result<Condition, ExpressionError> {
    let mut reader = Reader {
        source,
        tokens: tokens(source)?,
        next: 0,
        parts: 0,
        depth: 0,
    };
    let whole = reader.expression()?;
    reader.expect_end()?;
    reader.condition("the expression", whole)
}

struct Reader<'s> {
    source: &'s str,
    tokens: Vec<Token<'s>>,
    next: usize,
    parts: usize,
    depth: usize,
}

/// A part of an expression, and where it stands.
struct Part {
    start: usize,
    end: usize,
    typed: Typed,
}

enum Typed {
    Condition(Condition),
    Number(Number),
    Text(Text),
}

type Read<T> = Result<T, ExpressionError>;

/// The grammar, from what binds least to what binds most.
impl Reader<'_> {
    fn expression(&mut self) -> Read<Part> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(ExpressionError::TooLarge);
        }
        let mut part = self.or()?;
        if self.take("?").is_some() {
            let one = self.or()?;
            self.expect(":")?;
            let other = self.expression()?;
            part = self.choice(part, one, other)?;
        }
        self.depth -= 1;
        Ok(part)
    }

    fn or(&mut self) -> Read<Part> {
        let mut one = self.and()?;
        while self.take("||").is_some() {
            let other = self.and()?;
            one = self.joined("`||`", one, other, Condition::Or)?;
        }
        Ok(one)
    }

    fn and(&mut self) -> Read<Part> {
        let mut one = self.relation()?;
        while self.take("&&").is_some() {
            let other = self.relation()?;
            one = self.joined("`&&`", one, other, Condition::And)?;
        }
        Ok(one)
    }

    fn relation(&mut self) -> Read<Part> {
        let mut one = self.sum()?;
        loop {
            one = if let Some(sign) = self.take_one_of(&["==", "!=", "<=", ">=", "<", ">"]) {
                let other = self.sum()?;
                self.compared(sign, one, other)?
            } else if self.take_name("in") {
                self.member(one)?
            } else {
                return Ok(one);
            };
        }
    }

    fn sum(&mut self) -> Read<Part> {
        let mut one = self.product()?;
        while let Some(sign) = self.take_one_of(&["+", "-"]) {
            let other = self.product()?;
            one = self.computed(sign, one, other)?;
        }
        Ok(one)
    }

    fn product(&mut self) -> Read<Part> {
        let mut one = self.unary()?;
        while let Some(sign) = self.take_one_of(&["*", "/", "%"]) {
            let other = self.unary()?;
            one = self.computed(sign, one, other)?;
        }
        Ok(one)
    }

    fn unary(&mut self) -> Read<Part> {
        let start = self.peek().start;
        let Some(sign) = self.take_one_of(&["!", "-"]) else {
            return self.with_calls();
        };
        self.count_part()?;
        let part = match self.peek().kind {
            // Those who read CEL do not agree on what it means.
            Kind::Sign("!" | "-") => {
                return Err(self.unsupported("a row of signs is written with brackets"));
            }
            // The sign belongs to the number: the lowest has no opposite.
            Kind::Number(value) if sign == "-" => self.number_literal(-i128::from(value))?,
            _ => {
                let part = self.with_calls()?;
                self.signed(sign, part)?
            }
        };
        Ok(Part { start, ..part })
    }

    fn with_calls(&mut self) -> Read<Part> {
        let mut part = self.primary()?;
        while self.take(".").is_some() {
            part = self.call_on(part)?;
        }
        Ok(part)
    }

    fn primary(&mut self) -> Read<Part> {
        self.count_part()?;
        let Token { kind, start, end } = self.peek().clone();
        let typed = match kind {
            Kind::Number(value) => return self.number_literal(value.into()),
            Kind::Name("true") => Typed::Condition(Condition::Is(true)),
            Kind::Name("false") => Typed::Condition(Condition::Is(false)),
            Kind::Name("null") => {
                return Err(self.unsupported("there is no null; every field always has a value"));
            }
            Kind::Name(_) => return self.named(),
            Kind::Text(text) => Typed::Text(Text::Is(text)),
            Kind::Sign("(") => {
                self.next += 1;
                let inner = self.expression()?;
                let end = self.expect(")")?;
                return Ok(Part {
                    start,
                    end,
                    ..inner
                });
            }
            Kind::Sign("[") => {
                return Err(self.unsupported("a list stands only to the right of `in`"));
            }
            _ => return Err(self.unexpected()),
        };
        self.next += 1;
        Ok(Part { start, end, typed })
    }

    fn number_literal(&mut self, value: i128) -> Read<Part> {
        let Token { start, end, .. } = *self.peek();
        let value =
            i64::try_from(value).map_err(|_| self.unsupported("the number is too large"))?;
        self.next += 1;
        let typed = Typed::Number(Number::Is(value));
        Ok(Part { start, end, typed })
    }

    /// A field by its whole path, or `amount(…)`.
    fn named(&mut self) -> Read<Part> {
        let Token { start, .. } = *self.peek();
        let mut name = String::new();
        let mut end = start;
        while let Kind::Name(word) = self.peek().kind {
            let is_call = self.kind_after(1) == Some(&Kind::Sign("("));
            if is_call && name.is_empty() {
                return self.amount();
            }
            if is_call {
                // The point before it was taken; it belongs to the call.
                self.next -= 1;
                break;
            }
            name.push_str(if name.is_empty() { "" } else { "." });
            name.push_str(word);
            end = self.peek().end;
            self.next += 1;
            let is_path = matches!(self.kind_after(1), Some(Kind::Name(_)));
            if !is_path || self.take(".").is_none() {
                break;
            }
        }
        let known = FIELDS.iter().find(|(field, _)| *field == name);
        let (_, field) = known.ok_or_else(|| self.error(start, unknown(&name)))?;
        let typed = match *field {
            Field::Amount(amount) => Typed::Number(Number::Amount(amount)),
            Field::Count(count) => Typed::Number(Number::Count(count)),
            Field::Flag(flag) => Typed::Condition(Condition::Flag(flag)),
            Field::Text(text) => Typed::Text(Text::Field(text)),
        };
        Ok(Part { start, end, typed })
    }

    /// `amount("500.00")` is a number as soon as it is read.
    fn amount(&mut self) -> Read<Part> {
        let Token { kind, start, .. } = self.peek().clone();
        if kind != Kind::Name("amount") {
            return Err(self.unknown_call());
        }
        self.next += 1;
        self.expect("(")?;
        let Kind::Text(text) = self.peek().kind.clone() else {
            let message = "`amount` is of a text in quotes, such as amount(\"0.50\")";
            return Err(self.unsupported(message));
        };
        let amount = Amount::parse(&text);
        let amount = amount.map_err(|error| self.error(start, Cause::Amount(error)))?;
        self.next += 1;
        let end = self.expect(")")?;
        let typed = Typed::Number(Number::Is(amount.micros()));
        Ok(Part { start, end, typed })
    }

    /// `….startsWith("x")`, from its name on.
    fn call_on(&mut self, one: Part) -> Read<Part> {
        let (part, place) = match self.peek().kind {
            Kind::Name("startsWith") => (TextPart::Start, "`startsWith`"),
            Kind::Name("endsWith") => (TextPart::End, "`endsWith`"),
            Kind::Name("contains") => (TextPart::Any, "`contains`"),
            Kind::Name(_) => return Err(self.unknown_call()),
            _ => return Err(self.unexpected()),
        };
        self.next += 1;
        self.expect("(")?;
        let other = self.expression()?;
        let end = self.expect(")")?;
        let start = one.start;
        let (one, other) = (self.text(place, one)?, self.text(place, other)?);
        let typed = Typed::Condition(Condition::Contains(part, one, other));
        Ok(Part { start, end, typed })
    }
}

/// The row of tokens.
impl Reader<'_> {
    fn peek(&self) -> &Token<'_> {
        // INVARIANT: the last token is the end, and nothing goes beyond it.
        const END: &Token<'static> = &Token {
            kind: Kind::End,
            start: 0,
            end: 0,
        };
        self.tokens.get(self.next).unwrap_or(END)
    }

    fn kind_after(&self, count: usize) -> Option<&Kind<'_>> {
        self.tokens.get(self.next + count).map(|token| &token.kind)
    }

    fn take(&mut self, sign: &'static str) -> Option<usize> {
        let end = self.peek().end;
        let is_it = self.peek().kind == Kind::Sign(sign);
        is_it.then(|| {
            self.next += 1;
            end
        })
    }

    fn take_one_of(&mut self, signs: &[&'static str]) -> Option<&'static str> {
        signs.iter().copied().find(|sign| self.take(sign).is_some())
    }

    fn take_name(&mut self, name: &str) -> bool {
        let is_it = self.peek().kind == Kind::Name(name);
        self.next += usize::from(is_it);
        is_it
    }

    fn expect(&mut self, sign: &'static str) -> Read<usize> {
        self.take(sign).ok_or_else(|| self.unexpected())
    }

    fn expect_end(&self) -> Read<()> {
        match self.peek().kind {
            Kind::End => Ok(()),
            _ => Err(self.unexpected()),
        }
    }

    fn count_part(&mut self) -> Read<()> {
        self.parts += 1;
        if self.parts > MOST_PARTS {
            return Err(ExpressionError::TooLarge);
        }
        Ok(())
    }

    fn error(&self, start: usize, cause: Cause) -> ExpressionError {
        ExpressionError::at(self.source, start, cause)
    }

    fn unsupported(&self, message: &'static str) -> ExpressionError {
        self.error(self.peek().start, Cause::Unsupported(message))
    }

    fn unexpected(&self) -> ExpressionError {
        let Token { kind, start, end } = self.peek();
        let cause = match (kind, self.source.get(*start..*end)) {
            (Kind::End, _) | (_, None) => Cause::Unsupported("more was expected here"),
            (_, Some(found)) => Cause::Unexpected(found.to_owned()),
        };
        self.error(*start, cause)
    }

    fn unknown_call(&self) -> ExpressionError {
        let Token { start, end, .. } = *self.peek();
        let name = self.source.get(start..end).unwrap_or_default();
        let known = ["amount", "startsWith", "endsWith", "contains", "in"];
        let cause = Cause::Unknown {
            name: name.to_owned(),
            known: quoted(&known),
        };
        self.error(start, cause)
    }
}

/// A name that nothing has, with what there is below its last known part.
fn unknown(name: &str) -> Cause {
    let below = |prefix: &str| -> Vec<&str> {
        let fields = FIELDS.iter().map(|(field, _)| *field);
        fields.filter(|field| field.starts_with(prefix)).collect()
    };
    let mut prefix = format!("{name}.");
    while below(&prefix).is_empty() && !prefix.is_empty() {
        let shorter = prefix.trim_end_matches('.').rfind('.');
        prefix.truncate(shorter.map_or(0, |at| at + 1));
    }
    Cause::Unknown {
        name: name.to_owned(),
        known: quoted(&below(&prefix)),
    }
}

fn quoted(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
