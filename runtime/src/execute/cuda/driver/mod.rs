//! NVIDIA cards through cudarc: the only room of the executor with unsafe code. Libraries are loaded when something asks for a card, so one
//! program runs with and without them.
//!
//! The way in is [`Card::open`]. [`Buffer`]s are memory of the card; a [`Stream`] is the right to use the card, held by one thread at a
//! time, and everything that is asked of it happens in order. A [`Ready`] is a printed program on the card; [`Ready::launch_all`] puts all
//! its launches on a stream, at once or, inside [`Stream::capture`], as part of a [`Graph`] that is replayed with [`Stream::replay`].
//!
//! ```no_run
//! # use segc_runtime::execute::cuda::driver::*;
//! # fn step(card: &Card, ready: &Ready, batch: &[f32]) -> Result<f32, CardError> {
//! let room = Room::new(card, ready.needs())?;
//! let input = card.buffer(batch.len())?;
//! let loss = card.buffer(1)?;
//! let bound = ready.bind(&room, vec![input.view()], vec![Some(loss.view())])?;
//! let mut stream = card.stream()?;
//! stream.upload(batch, &input.view())?;
//! ready.launch_all(&mut stream, &bound)?;
//! let graph = stream.capture(|stream| ready.launch_all(stream, &bound))?;
//! stream.replay(&graph)?;
//! let mut result = [0.0];
//! stream.download(&loss.view(), &mut result)?;
//! # Ok(result[0])
//! # }
//! ```

mod card;
mod copies;
mod cubin;
mod cublas;
mod cudnn;
mod fault;
mod found;
mod graph;
mod library;
mod memory;
mod module;
mod planned;
mod ready;
mod staging;
mod stream;

pub use card::{About, Card};
pub use copies::Copies;
pub use fault::CardError;
pub use found::{Inventory, Library, inventory, libraries};
pub use graph::Graph;
pub use memory::{Buffer, View};
pub use module::{Function, Module};
pub use ready::{Bound, Needs, Ready, Room};
pub use stream::Stream;
