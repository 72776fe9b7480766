//! An immutable token sequence that is cheap to clone.

use std::sync::Arc;

use crate::Element;
use crate::element::Span;

/// A token sequence: a list of elements behind one shared allocation.
///
/// ```
/// use sglsim_radix::{Prompt, Span};
/// // Adjacent spans of one content are one span, empty ones are dropped.
/// let cut = Prompt::new(vec![
///     Span { content: 1, offset: 0, len: 100 },
///     Span { content: 1, offset: 100, len: 412 },
///     Span::new(2, 0),
/// ]);
/// assert_eq!(cut, Prompt::new(vec![Span::new(1, 512)]));
/// assert_eq!(cut.tokens(), 512);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sequence<E: Element = Span> {
    elements: Arc<[E]>,
    tokens: u64,
}

/// A prompt as spans.
pub type Prompt = Sequence<Span>;

impl<E: Element> Sequence<E> {
    /// The sequence of `elements`, adjacent ones joined and empty ones dropped.
    #[must_use]
    pub fn new(mut elements: Vec<E>) -> Self {
        let mut kept = 0_usize;
        for at in 0..elements.len() {
            let next = elements[at];
            if next.tokens() == 0 {
                continue;
            }
            match kept.checked_sub(1).and_then(|last| elements[last].join(next)) {
                Some(joined) => elements[kept - 1] = joined,
                None => {
                    elements[kept] = next;
                    kept += 1;
                }
            }
        }
        elements.truncate(kept);
        let tokens = elements.iter().map(|element| u64::from(element.tokens())).sum();
        Self { elements: elements.into(), tokens }
    }

    /// Number of tokens \[token\].
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The elements, in order; none is empty.
    #[must_use]
    pub fn elements(&self) -> &[E] {
        &self.elements
    }

    /// Whether there is no token at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens == 0
    }
}

impl<E: Element> Default for Sequence<E> {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl<E: Element> FromIterator<E> for Sequence<E> {
    fn from_iter<I: IntoIterator<Item = E>>(elements: I) -> Self {
        Self::new(elements.into_iter().collect())
    }
}
