//! Passages that are said twice, such as the teaser at the start of a talk.

use crate::measure::Sums;
use crate::units::Units;
use std::collections::BTreeMap;
use std::ops::Range;

/// So many words in a row are no coincidence when they come again.
const WORDS: usize = 5;

/// Which runs of words come again elsewhere in the talk.
#[derive(Clone, Debug, Default)]
pub struct Echoes {
    /// Per word, the number of the run that begins there, if it comes more than once.
    runs: Vec<Option<u32>>,
}

impl Echoes {
    /// Finds every run that comes again.
    #[must_use]
    pub fn new(units: &Units) -> Self {
        let normals: Vec<&str> = units.words.iter().map(|word| word.normal.as_str()).collect();
        let mut places: BTreeMap<&[&str], u32> = BTreeMap::new();
        normals.windows(WORDS).for_each(|run| *places.entry(run).or_default() += 1);
        let repeated = places.into_iter().filter(|(_, count)| *count > 1);
        let numbers: BTreeMap<&[&str], u32> = repeated.zip(0..).map(|((run, _), number)| (run, number)).collect();
        Self { runs: normals.windows(WORDS).map(|run| numbers.get(run).copied()).collect() }
    }

    /// Returns, for any range of words, how many runs begin there that also begin in `words`.
    pub(crate) fn of(&self, words: &Range<usize>) -> Sums {
        let inside = &self.runs[words.start.min(self.runs.len())..words.end.min(self.runs.len())];
        let mut heard: Vec<u32> = inside.iter().flatten().copied().collect();
        heard.sort_unstable();
        let echoes = |run: &Option<u32>| run.is_some_and(|run| heard.binary_search(&run).is_ok());
        let missing = WORDS - 1;
        Sums::new(self.runs.iter().map(|run| if echoes(run) { 1.0 } else { 0.0 }).chain(std::iter::repeat_n(0.0, missing)))
    }
}
