//! Arithmetic on columns, such as `batch_size * (isl + step)`.

use std::fmt;

/// Sums, products and quotients of numbers and names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Arithmetic {
    Number(f64),
    Name(String),
    Binary(Operator, Box<Arithmetic>, Box<Arithmetic>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Sub,
    Mul,
    Div,
}

impl Arithmetic {
    /// Reads `text`, or says where it stops making sense.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { text, at: 0 };
        let it = parser.sum()?;
        match parser.peek() {
            None => Ok(it),
            Some(c) => Err(format!("unexpected `{c}` at character {} of `{text}`", parser.at + 1)),
        }
    }

    /// All names, in order of appearance.
    pub(crate) fn names(&self) -> Vec<&str> {
        match self {
            Self::Number(_) => Vec::new(),
            Self::Name(name) => vec![name],
            Self::Binary(_, a, b) => [a.names(), b.names()].concat(),
        }
    }

    /// The value, with `value_of` for the names; stops at its first error.
    pub(crate) fn evaluate<E>(
        &self,
        value_of: &mut impl FnMut(&str) -> Result<f64, E>,
    ) -> Result<f64, E> {
        Ok(match self {
            Self::Number(value) => *value,
            Self::Name(name) => value_of(name)?,
            Self::Binary(operator, a, b) => {
                let (a, b) = (a.evaluate(value_of)?, b.evaluate(value_of)?);
                match operator {
                    Operator::Add => a + b,
                    Operator::Sub => a - b,
                    Operator::Mul => a * b,
                    Operator::Div => a / b,
                }
            }
        })
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    /// The next character that is not blank.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text[self.at..].chars().next()
    }

    fn sum(&mut self) -> Result<Arithmetic, String> {
        self.chain(&[('+', Operator::Add), ('-', Operator::Sub)], Self::product)
    }

    fn product(&mut self) -> Result<Arithmetic, String> {
        self.chain(&[('*', Operator::Mul), ('/', Operator::Div)], Self::atom)
    }

    fn chain(
        &mut self,
        operators: &[(char, Operator)],
        part: fn(&mut Self) -> Result<Arithmetic, String>,
    ) -> Result<Arithmetic, String> {
        let mut left = part(self)?;
        while let Some((_, operator)) =
            self.peek().and_then(|c| operators.iter().find(|(sign, _)| *sign == c))
        {
            self.at += 1;
            left = Arithmetic::Binary(*operator, Box::new(left), Box::new(part(self)?));
        }
        Ok(left)
    }

    fn atom(&mut self) -> Result<Arithmetic, String> {
        let Some(first) = self.peek() else {
            return Err(format!("`{}` ends where a column or a number is due", self.text));
        };
        if first == '(' {
            self.at += 1;
            let inner = self.sum()?;
            return match self.peek() {
                Some(')') => {
                    self.at += 1;
                    Ok(inner)
                }
                _ => Err(format!("a `(` is not closed in `{}`", self.text)),
            };
        }
        let rest = &self.text[self.at..];
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let word = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        if word.is_empty() {
            let at = self.at + 1;
            return Err(format!("unexpected `{first}` at character {at} of `{}`", self.text));
        }
        self.at += word.len();
        if !first.is_ascii_digit() {
            return Ok(Arithmetic::Name(word.to_owned()));
        }
        word.parse().map(Arithmetic::Number).map_err(|_| format!("`{word}` is not a number"))
    }
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(value) => write!(f, "{value}"),
            Self::Name(name) => f.write_str(name),
            Self::Binary(operator, a, b) => {
                let sign = match operator {
                    Operator::Add => '+',
                    Operator::Sub => '-',
                    Operator::Mul => '*',
                    Operator::Div => '/',
                };
                write!(f, "({a} {sign} {b})")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> f64 {
        let mut of = |name: &str| -> Result<f64, String> {
            Ok(if name == "time_stats.x" { 3.0 } else { 5.0 })
        };
        Arithmetic::parse(text).unwrap().evaluate(&mut of).unwrap()
    }

    #[test]
    fn products_bind_tighter_and_chains_go_left() {
        assert_eq!(value("2 + time_stats.x * b"), 17.0);
        assert_eq!(value("(2 + time_stats.x) * b"), 25.0);
        assert_eq!(value("8 / 2 / 2 - 1 - 1"), 0.0);
        assert_eq!(value("0.5*b"), 2.5);
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        for (text, part) in [
            ("", "ends where"),
            ("2 +", "ends where"),
            ("(a", "not closed"),
            ("a b", "unexpected `b` at character 3"),
            ("a ^ 2", "unexpected `^`"),
            ("2x", "`2x` is not a number"),
            ("* a", "unexpected `*`"),
        ] {
            let message = Arithmetic::parse(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
