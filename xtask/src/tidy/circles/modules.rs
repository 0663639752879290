//! The modules of one crate: what each defines, imports and names.

use std::collections::{BTreeMap, BTreeSet};

use super::tokens::{Kind, Token, tokens};
use crate::source::product_only;
use crate::tidy::tree::Tree;

/// Segments of a path, as written.
pub(super) type Segments = Vec<String>;

/// A path that code names, and where.
#[derive(Debug)]
pub(super) struct Mention {
    pub(super) path: Segments,
    pub(super) at: usize,
}

#[derive(Debug, Default)]
pub(super) struct Module {
    pub(super) file: String,
    pub(super) parent: Option<usize>,
    pub(super) items: BTreeSet<String>,
    /// Words inside a macro call at this level: it may define them.
    pub(super) in_macros: BTreeSet<String>,
    pub(super) children: BTreeMap<String, usize>,
    /// Names that `use` binds.
    pub(super) imports: BTreeMap<String, Segments>,
    /// Paths before `::*`.
    pub(super) globs: Vec<Segments>,
    pub(super) mentions: Vec<Mention>,
}

/// The modules of a crate; the first is its root.
#[derive(Debug, Default)]
pub(super) struct Modules {
    pub(super) all: Vec<Module>,
    /// `macro_rules!` by name, with the module that defines it: they need no import.
    pub(super) macros: BTreeMap<String, usize>,
}

impl Modules {
    /// Reads the crate whose root file this is.
    pub(super) fn read(tree: &Tree<'_>, root: &str) -> Self {
        let mut modules = Self::default();
        let directory = root.rsplit_once('/').map_or("", |(directory, _)| directory);
        let mut open = vec![(root.to_owned(), directory.to_owned(), None::<(usize, String)>)];
        while let Some((path, base, place)) = open.pop() {
            let Some(source) = tree.file(&path) else { continue };
            let at = modules.add(&path, place);
            let code = product_only(&source.text);
            let mut reader =
                Reader { modules: &mut modules, tokens: tokens(&code), next: 0, files: Vec::new() };
            reader.module(at, &base);
            for (parent, name, base) in reader.files {
                let base = format!("{base}/{name}");
                let beside = format!("{base}.rs");
                let file = if tree.file(&beside).is_some() { beside } else { format!("{base}/mod.rs") };
                open.push((file, base, Some((parent, name))));
            }
        }
        modules
    }

    fn add(&mut self, file: &str, place: Option<(usize, String)>) -> usize {
        let at = self.all.len();
        let parent = place.as_ref().map(|(parent, _)| *parent);
        self.all.push(Module { file: file.to_owned(), parent, ..Module::default() });
        if let Some((parent, name)) = place {
            self.all[parent].children.insert(name, at);
        }
        at
    }
}

struct Reader<'a, 'm> {
    modules: &'m mut Modules,
    tokens: Vec<Token<'a>>,
    next: usize,
    /// Modules in files of their own: their parent, their name, and the directory that holds them.
    files: Vec<(usize, String, String)>,
}

impl<'a> Reader<'a, '_> {
    /// Reads a module up to its closing brace or the end of the file. `base` is the directory of its children.
    fn module(&mut self, module: usize, base: &str) {
        let mut depth = 0_usize;
        while let Some(token) = self.take() {
            match token.kind {
                Kind::Mark(b'{') => depth += 1,
                Kind::Mark(b'}') if depth == 0 => return,
                Kind::Mark(b'}') => depth -= 1,
                Kind::Word("use") => self.import(module, token.at),
                Kind::Word("mod") if depth == 0 => self.child(module, base),
                Kind::Word("macro_rules") => self.macro_rules(module),
                Kind::Word(word) => {
                    if depth == 0 && self.kind(0) == Some(Kind::Mark(b'!')) {
                        self.macro_call(module);
                    } else if depth == 0 {
                        self.item(module, word);
                    }
                    self.mention(module, token);
                }
                Kind::Path | Kind::Mark(_) => {}
            }
        }
    }

    fn take(&mut self) -> Option<Token<'a>> {
        let token = self.tokens.get(self.next).copied();
        self.next += 1;
        token
    }

    /// The kind of the token `ahead` of the next one.
    fn kind(&self, ahead: usize) -> Option<Kind<'a>> {
        self.tokens.get(self.next + ahead).map(|token| token.kind)
    }

    fn word(&self, ahead: usize) -> Option<&'a str> {
        match self.kind(ahead)? {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }

    fn child(&mut self, module: usize, base: &str) {
        let Some(name) = self.word(0) else { return };
        match self.kind(1) {
            Some(Kind::Mark(b';')) => self.files.push((module, name.to_owned(), base.to_owned())),
            Some(Kind::Mark(b'{')) => {
                let file = self.modules.all[module].file.clone();
                let inner = self.modules.add(&file, Some((module, name.to_owned())));
                self.next += 2;
                self.module(inner, &format!("{base}/{name}"));
            }
            _ => {}
        }
    }

    fn macro_rules(&mut self, module: usize) {
        if let Some(name) = self.word(1) {
            self.modules.macros.insert(name.to_owned(), module);
        }
    }

    /// Notes what the macro that is called here may define; its tokens are read as code afterwards.
    fn macro_call(&mut self, module: usize) {
        let mut depth = 0_usize;
        for token in &self.tokens[self.next + 1..] {
            match token.kind {
                Kind::Mark(b'{' | b'(' | b'[') => depth += 1,
                Kind::Mark(b'}' | b')' | b']') => depth -= 1,
                Kind::Word(word) => _ = self.modules.all[module].in_macros.insert(word.to_owned()),
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Notes the item whose keyword this is.
    fn item(&mut self, module: usize, keyword: &str) {
        let name = match keyword {
            "struct" | "enum" | "union" | "trait" | "type" | "fn" => self.word(0),
            "const" | "static" if matches!(self.word(0), Some("mut")) => self.word(1),
            // `const fn` names its item at `fn`; `const` of a generic parameter is no item, but hides none
            // either.
            "const" | "static" => self.word(0).filter(|word| *word != "fn"),
            _ => None,
        };
        if let Some(name) = name {
            self.modules.all[module].items.insert(name.to_owned());
        }
    }

    /// Notes the path that begins with this word, unless it is a field, a method or a name in a binding.
    fn mention(&mut self, module: usize, token: Token<'a>) {
        let Kind::Word(first) = token.kind else { return };
        let before = self.next.checked_sub(2).map(|at| self.tokens[at].kind);
        let mut path = vec![first.to_owned()];
        while self.kind(0) == Some(Kind::Path)
            && let Some(segment) = self.word(1)
        {
            path.push(segment.to_owned());
            self.next += 2;
        }
        let is_part = matches!(before, Some(Kind::Mark(b'.') | Kind::Path));
        let is_label = path.len() == 1 && self.kind(0) == Some(Kind::Mark(b':'));
        if !is_part && !is_label {
            self.modules.all[module].mentions.push(Mention { path, at: token.at });
        }
    }

    /// Reads a `use` behind its keyword.
    fn import(&mut self, module: usize, at: usize) {
        // A re-export is no use of what it names; so says a visibility before the keyword.
        let before = self.next.checked_sub(2).map(|at| self.tokens[at].kind);
        let exports = matches!(before, Some(Kind::Word("pub") | Kind::Mark(b')')));
        self.import_tree(module, &[], (!exports).then_some(at));
    }

    /// One branch of a `use` tree. `used_at` is where a private import stands: it counts as a use.
    fn import_tree(&mut self, module: usize, above: &[String], used_at: Option<usize>) {
        let mut path = above.to_vec();
        loop {
            match self.take().map(|token| token.kind) {
                Some(Kind::Word("as")) => {
                    let name = self.word(0).unwrap_or("_").to_owned();
                    self.next += 1;
                    return self.bind(module, name, path, used_at);
                }
                Some(Kind::Word("self")) if !path.is_empty() => {}
                Some(Kind::Word(word)) => path.push(word.to_owned()),
                Some(Kind::Path) => {}
                Some(Kind::Mark(b'*')) => return self.modules.all[module].globs.push(path),
                Some(Kind::Mark(b'{')) => {
                    while !matches!(self.kind(0), Some(Kind::Mark(b'}')) | None) {
                        self.import_tree(module, &path, used_at);
                        if self.kind(0) == Some(Kind::Mark(b',')) {
                            self.next += 1;
                        }
                    }
                    self.next += 1;
                    return;
                }
                Some(Kind::Mark(_)) | None => {
                    // `,`, `}` or `;` belongs to who called.
                    self.next -= 1;
                    let name = path.last().cloned().unwrap_or_default();
                    return self.bind(module, name, path, used_at);
                }
            }
        }
    }

    fn bind(&mut self, module: usize, name: String, path: Segments, used_at: Option<usize>) {
        let module = &mut self.modules.all[module];
        if let Some(at) = used_at {
            module.mentions.push(Mention { path: path.clone(), at });
        }
        if name != "_" {
            module.imports.insert(name, path);
        }
    }
}
