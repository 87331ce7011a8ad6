//! The steps of the machine, protocols 0 to 5, as CPython's `Lib/pickletools.py` describes them.

use super::value::{Id, Node};
use super::{Machine, Trouble, refused};

/// The digits of 0x1950a86a20f9469cfc6c, the lowest first: the magic number of `torch.save` before 1.6.
pub const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

impl Machine<'_> {
    /// One step that is not the last.
    pub(super) fn step(&mut self, code: u8) -> Result<(), Trouble> {
        match code {
            b'N' | 0x88 | 0x89 | b'I' | b'J' | b'K' | b'M' | b'L' | 0x8a | 0x8b | b'F' | b'G' => self.plain(code),
            b'S' | b'T' | b'U' | b'V' | b'X' | 0x8c | 0x8d | b'B' | b'C' | 0x8e | 0x96 => self.text(code),
            b']' | b')' | b'}' | 0x8f | b'l' | b't' | b'd' | 0x91 | 0x85 | 0x86 | 0x87 => self.container(code),
            b'a' | b'e' | 0x90 | b's' | b'u' => self.fill(code),
            b'(' | b'0' | b'1' | b'2' | b'p' | b'q' | b'r' | 0x94 | b'g' | b'h' | b'j' => self.arrange(code),
            b'c' | 0x93 | b'R' | b'i' | b'o' | 0x81 | 0x92 | b'b' | b'Q' => self.object(code),
            0x80 => self.protocol(),
            // A frame only says how far the reader may read ahead.
            0x95 => self.take(8).map(drop),
            b'P' => Err(refused("its storages are named by text, which no `torch.save` writes")),
            0x82..=0x84 | 0x97 | 0x98 => Err(refused("it refers to what is not in the file")),
            other => Err(refused(format!("the byte {other:#04x} at {} is no step of a pickle", self.at - 1))),
        }
    }

    fn protocol(&mut self) -> Result<(), Trouble> {
        match self.byte()? {
            0..=5 => Ok(()),
            other => Err(refused(format!("it is a pickle of protocol {other}, and 5 is the newest known"))),
        }
    }

    fn plain(&mut self, code: u8) -> Result<(), Trouble> {
        let node = match code {
            b'N' => Node::None,
            0x88 => Node::Bool(true),
            0x89 => Node::Bool(false),
            b'I' | b'L' => whole(self.line()?)?,
            b'J' => Node::Int(i64::from(self.number(4)? as u32 as i32)),
            b'K' => Node::Int(self.number(1)? as i64),
            b'M' => Node::Int(self.number(2)? as i64),
            0x8a => wide(self.counted(1)?),
            0x8b => wide(self.counted(4)?),
            b'F' => self.line().map(|_| Node::Number)?,
            _ => self.take(8).map(|_| Node::Number)?,
        };
        self.push(node)
    }

    fn text(&mut self, code: u8) -> Result<(), Trouble> {
        let bytes = match code {
            b'S' | b'V' => self.line()?,
            b'U' | 0x8c | b'C' => self.counted(1)?,
            b'T' | b'X' | b'B' => self.counted(4)?,
            _ => self.counted(8)?,
        };
        let bytes = if code == b'S' { unquoted(bytes.trim_ascii()) } else { bytes };
        self.push(Node::Text(String::from_utf8_lossy(bytes).into_owned()))
    }

    fn container(&mut self, code: u8) -> Result<(), Trouble> {
        let node = match code {
            b']' | 0x8f => Node::List(Vec::new()),
            b')' => Node::Tuple(Vec::new()),
            b'}' => Node::Dict(Vec::new()),
            b'l' => Node::List(self.marked()?),
            b't' | 0x91 => Node::Tuple(self.marked()?),
            b'd' => Node::Dict(pairs(&self.marked()?)?),
            _ => {
                let mut items: Vec<Id> = (0..=code - 0x85).map(|_| self.pop()).collect::<Result<_, _>>()?;
                items.reverse();
                Node::Tuple(items)
            }
        };
        self.push(node)
    }

    /// Items that are put into the container below them. An opaque one takes them and keeps nothing.
    fn fill(&mut self, code: u8) -> Result<(), Trouble> {
        let items = match code {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.marked()?,
        };
        let pairs = if matches!(code, b's' | b'u') { Some(pairs(&items)?) } else { None };
        let below = self.top()?;
        match (self.heap.get_mut(below), pairs) {
            (Node::Dict(all), Some(pairs)) => all.extend(pairs),
            (Node::List(all), None) => all.extend(items),
            (Node::Opaque(_), _) => {}
            _ => return Err(refused("it puts items into what holds none")),
        }
        Ok(())
    }

    fn arrange(&mut self, code: u8) -> Result<(), Trouble> {
        match code {
            b'(' => self.marks.push(self.stack.len()),
            // A mark on top is what is taken away then.
            b'0' if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.marked()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'p' => {
                let key = key(self.line()?)?;
                self.remember(key)?;
            }
            b'q' | b'r' => {
                let key = self.number(if code == b'q' { 1 } else { 4 })? as u32;
                self.remember(key)?;
            }
            0x94 => self.remember(self.memo.len() as u32)?,
            b'g' => {
                let key = key(self.line()?)?;
                self.recall(key)?;
            }
            _ => {
                let key = self.number(if code == b'h' { 1 } else { 4 })? as u32;
                self.recall(key)?;
            }
        }
        Ok(())
    }

    fn object(&mut self, code: u8) -> Result<(), Trouble> {
        match code {
            b'c' => {
                let name = self.global_lines()?;
                return self.push(name);
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let texts = self.heap.text(module).zip(self.heap.text(name));
                let (module, name) = texts.ok_or_else(|| refused("it names a function by something that is no text"))?;
                let global = super::globals::named(module, name)?;
                self.spend(cost_of_name(&global))?;
                return self.push(global);
            }
            _ => {}
        }
        let made = match code {
            b'b' => {
                // The attributes of an object; those of an ordered dictionary are the versions of its modules.
                self.pop()?;
                return self.top().map(drop);
            }
            b'Q' => {
                let id = self.pop()?;
                self.persistent(id)?
            }
            b'i' => {
                let class = self.global_lines()?;
                let (class, arguments) = (self.add(class)?, self.marked()?);
                self.called(class, &arguments)?
            }
            b'o' => {
                let items = self.marked()?;
                let (class, arguments) = items.split_first().ok_or_else(|| refused("it makes an object of no class"))?;
                self.called(*class, arguments)?
            }
            _ => {
                if code == 0x92 {
                    self.pop()?; // arguments by name, which nothing that is known here takes
                }
                let (arguments, class) = (self.pop()?, self.pop()?);
                let arguments = self.heap.items(arguments).ok_or_else(|| refused("it calls with something that is no tuple"))?.to_vec();
                self.spend(arguments.len())?;
                self.called(class, &arguments)?
            }
        };
        self.stack.push(made);
        Ok(())
    }

    fn global_lines(&mut self) -> Result<Node, Trouble> {
        let (module, name) = (self.line()?, self.line()?);
        super::globals::named(&String::from_utf8_lossy(module), &String::from_utf8_lossy(name))
    }
}

/// A long name that many steps make anew would take more memory than the file has bytes.
fn cost_of_name(global: &Node) -> usize {
    if let Node::Global(name) = global { name.len() / 16 } else { 0 }
}

/// The text between quotes, without looking at escapes, of which names of tensors have none.
fn unquoted(text: &[u8]) -> &[u8] {
    match text {
        [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => inner,
        other => other,
    }
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, Trouble> {
    let (pairs, rest) = items.as_chunks::<2>();
    if rest.is_empty() { Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect()) } else { Err(refused("a key has no value")) }
}

fn key(line: &[u8]) -> Result<u32, Trouble> {
    let text = std::str::from_utf8(line).ok();
    text.and_then(|text| text.parse().ok()).ok_or_else(|| refused("the number of a memo is no number"))
}

/// A whole number in decimal; `00` and `01` are truth values.
fn whole(line: &[u8]) -> Result<Node, Trouble> {
    let text = std::str::from_utf8(line).unwrap_or_default().trim_end_matches('L');
    match text {
        "00" => Ok(Node::Bool(false)),
        "01" => Ok(Node::Bool(true)),
        "119547037146038801333356" => Ok(Node::Magic),
        _ => match text.parse() {
            Ok(number) => Ok(Node::Int(number)),
            Err(_) if !text.is_empty() && text.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit()) => Ok(Node::Number),
            Err(_) => Err(refused("a number is none")),
        },
    }
}

/// A whole number in two's complement, the lowest byte first.
fn wide(bytes: &[u8]) -> Node {
    if bytes == MAGIC {
        return Node::Magic;
    }
    if bytes.len() > 8 {
        return Node::Number;
    }
    let negative = bytes.last().is_some_and(|byte| *byte >= 128);
    let start = if negative { -1 } else { 0 };
    Node::Int(bytes.iter().rev().fold(start, |number, byte| number << 8 | i64::from(*byte)))
}
