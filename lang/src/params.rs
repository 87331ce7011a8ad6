//! What a run asks for beside the spec: variants and single params.

/// When terms are for: params, data and models of a phase differ from those at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Moment {
    /// After all training: evaluations and the output. All models are settled.
    #[default]
    End,
    /// A phase, by its number in [`crate::spec::Spec::phases`].
    Phase {
        /// Its number.
        number: usize,
        /// Whether its models train: its updates and averages. Otherwise what it shows, measures and decides.
        training: bool,
    },
}

/// `+paper --set size=64` of the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Names of variants, without the `+`. Their order has no meaning.
    pub variants: Vec<String>,
    /// Names and values of `--set`, as written. They win over all variants.
    pub sets: Vec<(String, String)>,
    /// Definitions of the file that are evaluated beside those that a run needs: [`crate::spec::Spec::wanted`].
    pub wanted: Vec<String>,
    /// Whether models train: what `training` means, and whether `next` of a net acts.
    pub training: bool,
    /// When the terms are for. In a phase it decides which models train and how large a batch is.
    pub moment: Moment,
    /// The size of the batch that the terms are for. Where it is none, values of the whole batch (`batch`) are not executed: they are
    /// listed in [`crate::spec::Spec::pending`].
    pub batch: Option<usize>,
}
