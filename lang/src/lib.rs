//! The `.seg` language: text in, a checked and elaborated [`spec::Spec`] out.
//!
//! `parse` turns a source into a syntax tree and faults, `modules` joins a spec with what it uses, `check` proves names, kinds
//! and params, `elaborate` evaluates everything known at compile time and leaves typed terms with named axes. Nothing here does
//! IO: files come through a [`source::Loader`].

pub mod elaborate;
pub mod fault;
pub mod format;
pub mod library;
pub mod modules;
pub mod nearest;
pub mod params;
pub mod parse;
pub mod render;
pub mod source;
pub mod spec;
pub mod syntax;
