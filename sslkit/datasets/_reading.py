"""Which folders are which part: what only one reading fits is taken, where two fit it is a question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sslkit.data.label_files import first
from sslkit.datasets._folders import class_names
from sslkit.datasets._layout import Part, Tree, called, kind_of, part
from sslkit.datasets._places import NAMES, Places, option
from sslkit.errors import UserError, listed

EXPECTED = "class folders, as DIR/cat/1.jpg or DIR/train/cat/1.jpg, perhaps DIR/test and DIR/unlabeled beside them"


@dataclass(frozen=True)
class Reading:
    """The places of each part."""

    train: Places
    test: Places = ()
    val: Places = ()
    unlabeled: Places = ()
    spare: Places = ()  # folders at the root that are not used, and no classes

    def training(self, tree: Tree) -> Part:
        return part(tree, self.train, (), [*self.spare, *_tops([*self.test, *self.val, *self.unlabeled])])

    def found(self, tree: Tree) -> str:
        """What each folder was taken for, and how another reading of it is asked for."""
        training, told = self.training(tree), ["its folders are the classes"]
        if self.train != (".",) or not training.classes:
            told = [f"training images from {_slashed(_inner(tree, self.train))}"]
        told += [f"test images from {_slashed(_inner(tree, self.test, training))}"] if self.test else []
        told += [f"validation images from {_slashed(_inner(tree, self.val, training))}"] if self.val else []
        told += [f"images without a label from {name}/" for name in self.unlabeled]
        told += [f"not used: {first([*self.spare])}"] if self.spare else []
        held = [name for name in self.spare if called(name)[0] == "validation"][:1]
        told[-1] += f" ({option('val', held)} validates on {held[0]}/)" if held else ""
        if not training.classes and self.test and self.train != (".",):
            told.append(f"were the folders classes, {option('train', ('.',))} would say so")
        return "; ".join(told)

    def options(self) -> str:
        """What says this reading on a command line."""
        return " ".join(option(name, getattr(self, name)) for name in NAMES if getattr(self, name))

    def said(self, tree: Tree) -> str:
        """What is taken for what, with the classes."""
        names = [repr(name) for name in self.training(tree).classes]
        where = "" if self.train == (".",) else f" in {_slashed(self.train)}"
        told = [f"classes {listed(names)}{where}"] if names else [f"images without class folders{where}"]
        told += [f"test images from {_slashed(self.test)}"] if self.test else []
        told += [f"validation images from {_slashed(self.val)}"] if self.val else []
        told += [f"images without a label from {_slashed(self.unlabeled)}"] if self.unlabeled else []
        return ", ".join(told)


def reading(tree: Tree, given: Mapping[str, Places], *, by_folders: bool = True) -> Reading:
    """The one reading of a folder.

    Names say what folders may be, what lies in them decides. Parts share class names, or a table is beside their
    images. Where the training folder is named or found, the others are guessed; `given["train"] == (".",)` takes all
    folders that are not named for classes.

    Args:
        by_folders: whether the folders may be the classes; else which of them are is no question.

    Raises:
        UserError: there is nothing to train on; or several readings fit, and the options of each are listed.
    """
    class_names(tree.root)  # none of them is a link that leads nowhere
    guess = _Guess(tree, given)
    asked = given.get("train")
    if asked == (".",):
        return Reading((".",), *(given.get(name, ()) for name in NAMES[1:]))
    if asked:
        return guess.with_train(asked)
    return guess.deeper(guess.whole(), by_folders)


class _Guess:
    def __init__(self, tree: Tree, given: Mapping[str, Places]) -> None:
        self.tree, self.given = tree, given
        taken = {*_tops([place for some in given.values() for place in some])}
        self.free = [name for name in tree.folders("") if name not in taken]
        self.kinds = {name: called(name) for name in self.free}
        heaps = (name for name in self.free if self.kinds[name][0] == "unlabelled")
        self.heaps = given.get("unlabeled", (*heaps,))
        self.tests = [*given.get("test", self._named("test"))]
        self.vals = [*given.get("val", self._named("validation"))]

    def whole(self) -> Reading:
        """The reading where the training folder is not named."""
        inside = self._inside_classes()
        if inside:
            return inside
        named = self._named("training")
        deep = [name for name in named if self.tree.classes(name)]
        if deep:
            return self._beside(deep)
        rest = {self.kinds[name][1] for name in named}
        rests = {self.kinds[name][1] for name in self._parts() if name in self.kinds}
        alike = any(map(self._sure, named)) or rest & rests
        tables = any(self.tree.tables(name) for name in named)
        if named and (tables or (alike and not self._others(named))):
            return self.with_train(self._alone("train", named))
        return self._at_root()

    def with_train(self, train: Places) -> Reading:
        """The reading with this training part."""
        classes = {*part(self.tree, train).classes}
        rests = {called(top)[1] for top in _tops(train)}
        tests, vals = ([p for p in some if self._suits(p, classes, rests)] for some in (self.tests, self.vals))
        return self._made(train, tests, vals, classes)

    def _beside(self, train: Sequence[str]) -> Reading:
        """Where folders are called as a training part and hold class folders."""
        classes = {name for folder in train for name in self.tree.classes(folder)}
        proven = [p for p in self._parts() if self._proven(p, classes)]
        sure = any(map(self._sure, train)) and any(self._sure(p) and not self.tree.classes(p) for p in self._parts())
        rests = {self.kinds[name][1] for name in train}
        strange = [p for p in self._parts() if p not in proven and self.kinds.get(p, ("", ""))[1] not in ("", *rests)]
        if proven or sure or not (self._others(train) or strange):
            return self.with_train(self._alone("train", train))
        ways = [self.with_train((name,)) for name in train]
        raise self._question([replace(self._classes(), unlabeled=self.heaps), *ways])

    def _at_root(self) -> Reading:
        """Where the folders at the root are the classes, but for those that are other parts."""
        named = {name for name in self._parts() if name in self.kinds}
        sure_classes = {name for name in self._others([]) if name not in named}
        full = [name for name in self._parts() if self.tree.holds(name)]
        if not sure_classes:
            return self._without_classes(full)
        proven = [
            p for p in self._parts() if p not in self.kinds or self._proven(p, sure_classes) or not self.tree.holds(p)
        ]
        doubtful = [p for p in full if p not in proven and self._sure(p) and not self.tree.classes(p)]
        if doubtful and not any(self.tree.holds(p) for p in proven):
            raise self._question([self._classes(), replace(self._classes(), test=(*doubtful,))])
        known = {*proven, *doubtful}
        tests, vals = ([p for p in some if p in known] for some in (self.tests, self.vals))
        return self._made((".",), tests, vals, sure_classes)

    def _without_classes(self, parts: Sequence[str]) -> Reading:
        """Where no folder is a class by its name: those of parts are classes if none of them holds folders."""
        if self.tree.images("") or not parts:
            return self._made((".",), self.tests, self.vals, set())
        if len(parts) > 1 and not self.given and not any(map(self.tree.classes, parts)):
            return self._classes()
        raise UserError(
            f"{self.tree.root} holds no image to train on; expected {EXPECTED}; there is {listed(parts)}, and "
            "data.train=NAME says which folder is the training part"
        )

    def _inside_classes(self) -> Reading | None:
        """The reading of cat/train, cat/test, dog/train, dog/test."""
        names = [name for name in self.free if name not in self.heaps and self.tree.holds(name)]
        if not names or any(self.kinds[name][0] or self.tree.images(name) for name in names):
            return None
        inner = {name for folder in names for name in self.tree.folders(folder)}
        every = all(any(kind_of(n) == "training" for n in self.tree.folders(folder)) for folder in names)
        return self._parts_inside(inner) if every and all(map(kind_of, inner)) else None

    def _parts_inside(self, inner: Iterable[str]) -> Reading:
        of = {
            kind: (*sorted(f"*/{n}" for n in inner if kind_of(n) == kind),)
            for kind in ("training", "test", "validation")
        }
        test = self.given.get("test", of["test"] or of["validation"])
        return Reading(of["training"], test, self.given.get("val", ()), self.heaps)

    def deeper(self, found: Reading, by_folders: bool) -> Reading:
        """As `found`, unless its classes all hold folders of the same names: then those may be the classes."""
        if len(found.train) > 1 or found.train[0].startswith("*/"):
            return found
        classes = found.training(self.tree).classes
        folders = [folder for some in classes.values() for folder in some]
        if not all(map(self.tree.folders, folders)):
            return found
        inside = {folder: {*self.tree.classes(folder)} for folder in folders}
        names = {name for some in inside.values() for name in some}
        shared = all(any(a & b for other, b in inside.items() if other != folder) for folder, a in inside.items())
        if len(folders) < 2 or len(names) < 2 or not shared or any(map(self.tree.images, folders)):
            return found
        tested = {name for place in found.test for name in self.tree.classes(place, {*classes} | names)}
        other = replace(found, train=(*folders,))
        if tested and tested <= {*classes} and not tested <= names:
            return found
        if tested and tested <= names and not tested <= {*classes}:
            return other
        if not by_folders:
            return found
        every = all(any(kind_of(n) == "training" for n in self.tree.folders(folder)) for folder in folders)
        third = [self._parts_inside(names)] if every and found.train == (".",) else []
        raise self._question([found, other, *third])

    def _made(self, train: Places, tests: Sequence[str], vals: Sequence[str], classes: set[str]) -> Reading:
        """With the test part: the folders of that name, or those for validation where only they have labels."""
        beside = [] if "val" in self.given else vals
        chosen = tests or beside
        if "test" not in self.given and not any(self._proven(p, classes) for p in tests):
            chosen = beside if any(self._proven(p, classes) for p in beside) else chosen
        test = self.given.get("test") or (self._alone("test", chosen) if chosen else ())
        made = Reading(train, test, self.given.get("val", ()), self.heaps)
        used = {*_tops([*test, *made.val, *made.unlabeled, *train])}
        left = [name for name in [*self.tests, *self.vals] if name not in used and name in self.free]
        if train == (".",):  # what was refused as a part is a class
            return replace(made, spare=(*(name for name in left if name in (*tests, *vals)),))
        return replace(made, spare=(*dict.fromkeys([*left, *(n for n in self.free if n not in used)]),))

    def _proven(self, p: str, classes: set[str]) -> bool:
        """Whether a folder shows itself to be a part: by the names of its classes, or by a table of its labels."""
        inner = self.tree.classes(p, classes)
        if inner:
            return bool({*map(str.casefold, inner)} & {*map(str.casefold, classes)})
        return bool(self.tree.tables(p))

    def _suits(self, p: str, classes: set[str], rests: set[str]) -> bool:
        """Whether a folder is a part beside a training part: it is called so alone, or as that one, or is proven."""
        if p not in self.kinds or self._sure(p) or self._proven(p, classes):
            return True
        return self.kinds[p][1] in rests and not self.tree.classes(p, classes)

    def _classes(self) -> Reading:
        """All folders are classes, but the heaps."""
        return Reading((".",), unlabeled=self.heaps)

    def _parts(self) -> list[str]:
        return [*self.tests, *self.vals]

    def _others(self, but: Sequence[str]) -> list[str]:
        """Folders with images that no name makes a part."""
        known = {*but, *self.tests, *self.vals, *self.heaps}
        return [name for name in self.free if name not in known and self.tree.holds(name)]

    def _named(self, kind: str) -> list[str]:
        """The folders that are called so, by the whole name if there are such, else by a word of it."""
        names = [name for name in self.free if self.kinds[name][0] == kind]
        return [name for name in names if self._sure(name)] or names

    def _sure(self, name: str) -> bool:
        """Whether nothing but the part is said by the name."""
        return bool(self.kinds.get(name, ("", ""))[0]) and not self.kinds[name][1]

    def _alone(self, name: str, folders: Sequence[str]) -> Places:
        if len(folders) > 1:
            kind = {"train": "training"}.get(name, name)
            one, all_ = option(name, folders[:1]), option(name, folders)
            raise UserError(
                f"{self.tree.root} has several {kind} folders: {first([*folders])}; name one, as {one}, or all, {all_}"
            )
        return (*folders,)

    def _question(self, ways: Sequence[Reading]) -> UserError:
        told = "; ".join(f"{way.said(self.tree)}: {way.options()}" for way in ways)
        return UserError(f"{self.tree.root} can be read in {len(ways)} ways, add the options of the right one: {told}")


def _tops(some: Iterable[str]) -> list[str]:
    """The folders at the root that places lie in."""
    return [place.partition("/")[0] for place in some]


def _slashed(some: Sequence[str]) -> str:
    return ", ".join(f"{place}/" for place in some)


def _inner(tree: Tree, some: Sequence[str], training: Part | None = None) -> list[str]:
    """The folders that hold what places hold."""
    classes = training.classes if training else ()
    return [place if place.startswith("*/") else tree.inner("" if place == "." else place, classes) for place in some]
