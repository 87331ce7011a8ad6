//! What a run asks for beside the spec: variants and single params.

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
    /// The size of the batch that the terms are for. Where it is none, values of the whole batch (`batch`) are not executed: they are
    /// listed in [`crate::spec::Spec::pending`].
    pub batch: Option<usize>,
}
