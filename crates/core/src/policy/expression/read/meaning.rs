//! What becomes of parts that stand together, and whether their types fit.

use super::super::known::{FIELDS, Field};
use super::super::token::Kind;
use super::super::tree::{Condition, Number, Operator, Order, Text};
use super::super::{Cause, ExpressionError, MOST_ELEMENTS};
use super::{Part, Read, Reader, Typed, quoted};

/// What becomes of parts that stand together.
impl Reader<'_> {
    pub(super) fn choice(&mut self, condition: Part, one: Part, other: Part) -> Read<Part> {
        let (start, end) = (condition.start, other.end);
        let condition = self.condition("`?`", condition)?;
        let typed = match one.typed {
            Typed::Condition(one) => {
                let other = self.condition("`:`", other)?;
                Typed::Condition(Condition::If(Box::new([condition, one, other])))
            }
            Typed::Number(one) => {
                let other = self.number("`:`", other)?;
                Typed::Number(Number::If(Box::new((condition, one, other))))
            }
            Typed::Text(one) => {
                let other = self.text("`:`", other)?;
                Typed::Text(Text::If(Box::new((condition, one, other))))
            }
        };
        Ok(Part { start, end, typed })
    }

    pub(super) fn signed(&mut self, sign: &'static str, part: Part) -> Read<Part> {
        let (start, end) = (part.start, part.end);
        let typed = if sign == "!" {
            Typed::Condition(not(self.condition("`!`", part)?))
        } else {
            let both = [Number::Is(0), self.number("`-`", part)?];
            Typed::Number(Number::Apply(Operator::Subtract, Box::new(both)))
        };
        Ok(Part { start, end, typed })
    }

    pub(super) fn joined(
        &mut self,
        place: &'static str,
        one: Part,
        other: Part,
        join: fn(Box<[Condition; 2]>) -> Condition,
    ) -> Read<Part> {
        self.count_part()?;
        let (start, end) = (one.start, other.end);
        let both = [self.condition(place, one)?, self.condition(place, other)?];
        let typed = Typed::Condition(join(Box::new(both)));
        Ok(Part { start, end, typed })
    }

    pub(super) fn computed(&mut self, sign: &'static str, one: Part, other: Part) -> Read<Part> {
        self.count_part()?;
        let (operator, place) = match sign {
            "+" => (Operator::Add, "`+`"),
            "-" => (Operator::Subtract, "`-`"),
            "*" => (Operator::Multiply, "`*`"),
            "/" => (Operator::Divide, "`/`"),
            _ => (Operator::Remainder, "`%`"),
        };
        let (start, end) = (one.start, other.end);
        let both = [self.number(place, one)?, self.number(place, other)?];
        let typed = Typed::Number(Number::Apply(operator, Box::new(both)));
        Ok(Part { start, end, typed })
    }

    pub(super) fn compared(&mut self, sign: &'static str, one: Part, other: Part) -> Read<Part> {
        self.count_part()?;
        let (start, end) = (one.start, other.end);
        let condition = match sign {
            "==" => self.same("`==`", one, other)?,
            "!=" => not(self.same("`!=`", one, other)?),
            "<" => self.ordered("`<`", Order::Less, one, other)?,
            ">" => self.ordered("`>`", Order::Greater, one, other)?,
            "<=" => not(self.ordered("`<=`", Order::Greater, one, other)?),
            _ => not(self.ordered("`>=`", Order::Less, one, other)?),
        };
        let typed = Typed::Condition(condition);
        Ok(Part { start, end, typed })
    }

    fn ordered(
        &self,
        place: &'static str,
        order: Order,
        one: Part,
        other: Part,
    ) -> Read<Condition> {
        let (one, other) = (self.number(place, one)?, self.number(place, other)?);
        Ok(Condition::Compare(order, one, other))
    }

    fn same(&self, place: &'static str, one: Part, other: Part) -> Read<Condition> {
        let start = one.start;
        Ok(match one.typed {
            Typed::Condition(one) => {
                let other = self.condition(place, other)?;
                Condition::Same(Box::new([one, other]))
            }
            Typed::Number(one) => {
                let other = self.number(place, other)?;
                Condition::Compare(Order::Equal, one, other)
            }
            Typed::Text(one) => {
                let other = self.text(place, other)?;
                let fits = possible(&one, &other).and_then(|()| possible(&other, &one));
                fits.map_err(|cause| self.error(start, cause))?;
                Condition::TextIn(one, vec![other])
            }
        })
    }

    /// `… in [ … ]`, from the bracket on.
    pub(super) fn member(&mut self, one: Part) -> Read<Part> {
        self.count_part()?;
        if self.take("[").is_none() {
            let message = "to the right of `in` stands a list, such as [\"a\", \"b\"]";
            return Err(self.unsupported(message));
        }
        let mut all = Vec::new();
        while self.peek().kind != Kind::Sign("]") {
            if all.len() == MOST_ELEMENTS {
                return Err(ExpressionError::TooLarge);
            }
            all.push(self.expression()?);
            if self.take(",").is_none() {
                break;
            }
        }
        let end = self.expect("]")?;
        let start = one.start;
        let condition = match one.typed {
            Typed::Number(one) => {
                let all = all.into_iter().map(|element| self.number("`in`", element));
                Condition::NumberIn(one, all.collect::<Read<_>>()?)
            }
            Typed::Text(one) => {
                let all = all.into_iter().map(|element| self.text("`in`", element));
                let all = all.collect::<Read<Vec<_>>>()?;
                let mut fits = all.iter().map(|element| possible(&one, element));
                fits.try_for_each(|fits| fits.map_err(|cause| self.error(start, cause)))?;
                Condition::TextIn(one, all)
            }
            Typed::Condition(_) => return Err(self.mismatch("`in`", "a text or a number", &one)),
        };
        let typed = Typed::Condition(condition);
        Ok(Part { start, end, typed })
    }

    pub(super) fn condition(&self, place: &'static str, part: Part) -> Read<Condition> {
        match part.typed {
            Typed::Condition(condition) => Ok(condition),
            _ => Err(self.mismatch(place, "true or false", &part)),
        }
    }

    pub(super) fn number(&self, place: &'static str, part: Part) -> Read<Number> {
        match part.typed {
            Typed::Number(number) => Ok(number),
            _ => Err(self.mismatch(place, "a number", &part)),
        }
    }

    pub(super) fn text(&self, place: &'static str, part: Part) -> Read<Text> {
        match part.typed {
            Typed::Text(text) => Ok(text),
            _ => Err(self.mismatch(place, "a text", &part)),
        }
    }

    fn mismatch(&self, place: &'static str, needed: &'static str, part: &Part) -> ExpressionError {
        let kind = match part.typed {
            Typed::Condition(_) => "true or false",
            Typed::Number(_) => "a number",
            Typed::Text(_) => "a text",
        };
        let found = self.source.get(part.start..part.end).unwrap_or_default();
        let found = found.to_owned();
        let cause = Cause::Type {
            place,
            needed,
            found,
            kind,
        };
        self.error(part.start, cause)
    }
}

fn not(condition: Condition) -> Condition {
    Condition::Not(Box::new(condition))
}

/// Refuses a comparison that can never hold.
fn possible(one: &Text, other: &Text) -> Result<(), Cause> {
    let (Text::Field(field), Text::Is(word)) = (one, other) else {
        return Ok(());
    };
    let words = field.words().unwrap_or_default();
    if words.is_empty() || words.contains(&word.as_str()) {
        return Ok(());
    }
    let name = FIELDS
        .iter()
        .find(|(_, known)| *known == Field::Text(*field));
    Err(Cause::Never {
        field: name.map_or("", |(name, _)| name),
        word: word.clone(),
        words: quoted(&words),
    })
}
