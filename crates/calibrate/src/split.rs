//! Which measurements are kept out of a fit, to score it on shapes that it has not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use sglsim_kernels::HeldOut;

use crate::CalibrateError;
use crate::dataset::{Dataset, Sample, Variant};
use crate::operator::Operator;

/// Checks the share of a split.
pub(crate) fn check(split: &HeldOut) -> Result<(), CalibrateError> {
    if (0.0..1.0).contains(&split.share) {
        return Ok(());
    }
    Err(CalibrateError::OutOfRange {
        field: "holdout",
        value: split.share,
        allowed: "from 0, below 1",
    })
}

/// Least number of values of a shape in a data set for some of them to be kept out: of fewer, all or
/// none would be.
const LEAST_VALUES: usize = 4;

/// A split of a data set.
///
/// A sample is held out if a hash of the seed and of one of its shapes (such as `(n, k)` of a GEMM, or
/// the head counts or the batch of attention; [`Operator::shapes`](crate::Operator::shapes)) falls
/// into `share` of all hashes. Where a data set has fewer than four values of every shape of an
/// operator in a number format, single calls take their place. Nothing else counts, so the split can be repeated on the same table, on a
/// longer one, and on that of another GPU.
pub(crate) struct Split<'a> {
    held_out: HeldOut,
    data: &'a Dataset,
    /// Shapes that count, by variant; those of one operator and number format have the same.
    shapes: Vec<Rc<[Shape]>>,
}

/// Arguments that make a shape: their name in the hash, and their places among the numbers.
struct Shape {
    name: String,
    places: Vec<usize>,
}

/// A shape and its values in a data set, as bits.
type Seen = (Shape, BTreeSet<Vec<u64>>);

impl<'a> Split<'a> {
    pub(crate) fn new(held_out: HeldOut, data: &'a Dataset) -> Self {
        let labels: Vec<_> = data.variants.iter().map(Variant::label).collect();
        let mut found: BTreeMap<&(String, String), Vec<Seen>> = BTreeMap::new();
        for sample in &data.samples {
            let operator = data.variants[sample.variant].operator;
            let shapes = found.entry(&labels[sample.variant]).or_insert_with(|| {
                let of = |names: &&[&str]| (Shape::of(operator, names), BTreeSet::new());
                operator.shapes.iter().map(of).collect()
            });
            for (shape, values) in shapes.iter_mut().filter(|(_, it)| it.len() < LEAST_VALUES) {
                values.insert(shape.bits(data.numbers(sample)).collect());
            }
        }
        let enough = |(shape, values): Seen| (values.len() >= LEAST_VALUES).then_some(shape);
        let shapes: BTreeMap<_, Rc<[Shape]>> = found
            .into_iter()
            .map(|(label, found)| (label, found.into_iter().filter_map(enough).collect()))
            .collect();
        let of = |label| shapes.get(label).cloned().unwrap_or_default();
        Self { held_out, data, shapes: labels.iter().map(of).collect() }
    }

    /// Whether a sample is held out.
    pub(crate) fn holds_out(&self, sample: &Sample) -> bool {
        let numbers = self.data.numbers(sample);
        let shapes = &self.shapes[sample.variant];
        if shapes.is_empty() {
            return self.falls_in("", numbers.iter().map(|value| value.to_bits()));
        }
        shapes.iter().any(|shape| self.falls_in(&shape.name, shape.bits(numbers)))
    }

    fn falls_in(&self, name: &str, values: impl Iterator<Item = u64>) -> bool {
        let name = name.bytes().map(u64::from);
        let hash = name.chain(values).fold(mix(self.held_out.seed), |hash, it| mix(hash ^ it));
        // 53 bits are a float in [0, 1) exactly.
        ((hash >> 11) as f64) < self.held_out.share * (1u64 << 53) as f64
    }
}

impl Shape {
    fn of(operator: &Operator, names: &[&str]) -> Self {
        let places = operator.numbers().enumerate().filter(|(_, it)| names.contains(&it.name));
        Self { name: names.concat(), places: places.map(|(at, _)| at).collect() }
    }

    fn bits<'n>(&self, numbers: &'n [f64]) -> impl Iterator<Item = u64> + use<'n, '_> {
        self.places.iter().map(|at| numbers[*at].to_bits())
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): spreads every bit over all.
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
