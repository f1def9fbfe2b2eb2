"""Everything that can go wrong, as one tree. Each message names the thing, its value and the cure.

::

    RtfaceError
    ├── ConfigError (ValueError)          a setting is unknown or out of range
    ├── PartError
    │   ├── UnknownPart (LookupError)     no detector, backend ... of that name
    │   └── MissingLibrary (ImportError)  the part is there, its library is not
    ├── ModelError
    │   ├── UnknownModel (LookupError)    not in models.toml
    │   ├── ModelUnavailable (OSError)    weights are not here and cannot be fetched
    │   └── ModelBroken (ValueError)      weights or graph are not what they should be
    ├── BackendError (RuntimeError)       an engine could not be loaded or run
    │   ├── DriverUnavailable             no NVIDIA card, or no driver that serves it
    │   └── EngineUnready                 the card has no engine to run; building one mends it
    │       ├── EngineMissing             none has been built for this model
    │       ├── EngineStale               there are some, of another version, card or model
    │       └── EngineBroken              its file is cut off or damaged
    ├── SourceError (OSError)
    │   ├── SourceUnavailable             a camera, stream or file cannot be opened
    │   └── SourceLost                    it was open and cannot go on
    ├── PictureError (ValueError)         a still that cannot be read as a picture
    ├── GalleryError
    │   ├── GalleryUnavailable (OSError)  missing, locked, read-only, disk full
    │   │   ├── GalleryLost               its server cannot be reached
    │   │   └── KeyRefused                no key, a wrong one, or one for a gallery that has none
    │   ├── GalleryBroken (ValueError)    not a gallery, corrupt, or of a newer version
    │   ├── GalleryMismatch (ValueError)  made with another model
    │   ├── UnknownPerson (LookupError)   nobody of that name is enrolled
    │   └── BadName (ValueError)          a name nobody can have
    ├── SinkError (OSError)               a result cannot be written
    ├── RecordError (ValueError)          a decision's record is missing or cannot be read
    ├── EvaluationError (ValueError)      a protocol's files do not fit together
    └── TrainingError (RuntimeError)      a network cannot be trained with this
        ├── TrainingCollapsed             all faces have become one point
        └── CheckpointBroken (ValueError) a checkpoint cannot be read or is of another run
"""


class RtfaceError(Exception):
    """Root of the tree: an error with a sentence a user can act on."""


class ConfigError(RtfaceError, ValueError):
    """A setting is unknown or out of range."""


class PartError(RtfaceError):
    """A part named in the settings cannot be loaded."""


class UnknownPart(PartError, LookupError):
    """No part of that name."""


class MissingLibrary(PartError, ImportError):
    """The part is there, the library it stands on is not."""


class ModelError(RtfaceError):
    """Something about a network's weights."""


class UnknownModel(ModelError, LookupError):
    """Not in models.toml."""


class ModelUnavailable(ModelError, OSError):
    """Weights are not here and cannot be fetched."""


class ModelBroken(ModelError, ValueError):
    """Weights or graph are not what they should be."""


class BackendError(RtfaceError, RuntimeError):
    """An engine could not be loaded or run."""


class DriverUnavailable(BackendError):
    """No NVIDIA card, or no driver that serves it."""


class EngineUnready(BackendError):
    """The card has no engine to run; building one mends it."""


class EngineMissing(EngineUnready):
    """None has been built for this model."""


class EngineStale(EngineUnready):
    """There are some, of another version, card or model."""


class EngineBroken(EngineUnready):
    """Its file is cut off or damaged."""


class SourceError(RtfaceError, OSError):
    """Something about a camera, stream or file."""


class SourceUnavailable(SourceError):
    """It cannot be opened."""


class SourceLost(SourceError):
    """It was open and cannot go on."""


class PictureError(RtfaceError, ValueError):
    """A still that cannot be read as a picture."""


class GalleryError(RtfaceError):
    """Something about the gallery."""


class GalleryUnavailable(GalleryError, OSError):
    """Missing, locked, read-only, or the disk is full."""


class GalleryLost(GalleryUnavailable):
    """Its server cannot be reached; it may be back in a moment."""


class KeyRefused(GalleryUnavailable):
    """No key, a wrong one, or one for a gallery that has none."""


class GalleryBroken(GalleryError, ValueError):
    """Not a gallery, corrupt, or of a newer version."""


class GalleryMismatch(GalleryError, ValueError):
    """Made with another model."""


class UnknownPerson(GalleryError, LookupError):
    """Nobody of that name is enrolled."""


class BadName(GalleryError, ValueError):
    """A name nobody can have."""


class SinkError(RtfaceError, OSError):
    """A result cannot be written."""


class RecordError(RtfaceError, ValueError):
    """A decision's record is missing or cannot be read."""


class EvaluationError(RtfaceError, ValueError):
    """A protocol's files do not fit together."""


class TrainingError(RtfaceError, RuntimeError):
    """A network cannot be trained with these pictures or settings."""


class TrainingCollapsed(TrainingError):
    """All faces have become one point, or no number at all."""


class CheckpointBroken(TrainingError, ValueError):
    """A checkpoint cannot be read, or is of another run."""
