//! A few thousand of the pairs that `examples/fuzz.rs` runs by the million.

use proptest::prelude::*;

use crate::{checks, random};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_form_of_an_expression_is_the_same(
        case in (random::script(20), prop::collection::vec(random::inputs(), 16)),
    ) {
        if let Err(reason) = checks::check(&case, &mut checks::Counts::new()) {
            prop_assert!(false, "{reason}");
        }
    }
}
