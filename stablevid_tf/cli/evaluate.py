"""`stablevid evaluate`: a model measured as a paper measures."""

from absl import flags

USAGE = """\
stablevid evaluate NAME DATA --protocol PROTOCOL [--truth FOLDER] [--out FOLDER]

NAME   an entry of the zoo, a folder with one, a .keras file, or package.module:name
DATA   a folder of videos and of folders of frames: true ones, which the protocol
       degrades; with --truth the degraded ones, of the same names
"""


def options():
    """The command's flags, in a set of their own."""
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    flags.DEFINE_enum(
        "protocol",
        None,
        ["tanay", "tanay_x2", "mori", "wdvr_reds", "wdvr_vid4", "rirn"],
        "tanay: denoising, sigma 30, RGB, frames 1 and 7 and the mean of 7; "
        "tanay_x2: the same of super-resolution by 2 (bicubic); mori: "
        "super-resolution by 4 (Gaussian blur), luma; wdvr_reds: by 4 (bicubic), RGB; "
        "wdvr_vid4: the same, luma, without 4 border pixels; rirn: deblurring, RGB.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "truth",
        None,
        "Folder of the true clips, if DATA is degraded.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "out",
        None,
        "Folder for results.csv and the plots (default: evaluation_NAME_PROTOCOL).",
        flag_values=values,
    )
    flags.DEFINE_multi_enum(
        "also",
        [],
        ["lpips", "tof", "warping_error"],
        "One more measure; may be given several times.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "lpips-weights",
        None,
        "The weights of LPIPS: a file lpips_alex.npz, or hf://user/repository@revision.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "lpips-sha256", None, "Of that file on the Hub.", flag_values=values
    )
    flags.DEFINE_integer("seed", 0, "For the noise.", lower_bound=0, flag_values=values)
    flags.DEFINE_enum(
        "strategy",
        None,
        ["burst", "dampen", "guard", "overlap"],
        "As for 'stablevid restore'; said in the table.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "tile",
        None,
        "Cut large frames into squares of this many pixels.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_bool(
        "profiles",
        False,
        "Write a temporal profile of each clip: its middle row over time, the truth's "
        "above the restored one's.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "overwrite",
        False,
        "Replace results that are already there.",
        flag_values=values,
    )
    return values


def run(words, values):
    """Runs the command; `words` begins with its name.

    Raises:
        OSError, ValueError: a wrong call, or bad input; the message says which.
    """
    if len(words) != 3:
        raise flags.Error(
            f"evaluate takes NAME and DATA, received {len(words) - 1} names"
        )
    if not values.protocol:
        raise flags.Error("evaluate needs --protocol; its --help names them")
    from pathlib import Path

    _, name, source = words
    label = Path(name).stem.replace(":", "_")
    if values.strategy:
        label += f"_{values.strategy}"
    out = Path(values.out or f"evaluation_{label}_{values.protocol}")
    if (out / "results.csv").exists() and not values.overwrite:
        raise FileExistsError(
            f"{out / 'results.csv'} already exists; give another --out, or --overwrite"
        )
    from stablevid_tf.cli.load_model import load_model
    from stablevid_tf.cli.no_chatter import no_chatter

    with no_chatter():
        from stablevid_tf import evaluation, metrics
        from stablevid_tf.evaluation.clips import find_clips
        from stablevid_tf.evaluation.evaluation_result import shown

    # What can be refused is refused before a model is loaded.
    find_clips(source, values.truth)
    weights = None
    if "lpips" in values.also:
        weights = metrics.lpips_weights(
            values["lpips-weights"].value, values["lpips-sha256"].value
        )

    def report(row):
        from tqdm import tqdm

        numbers = (
            f"{key} {shown(key, value)}"
            for key, value in row.items()
            if key not in ("clip", "frames")
        )
        tqdm.write(f"{values.protocol}  {row['clip']}  {'  '.join(numbers)}")

    found = evaluation.evaluate(
        load_model(name),
        source,
        values.protocol,
        values.truth,
        also=values.also,
        lpips_weights=weights,
        seed=values.seed,
        strategy=values.strategy,
        tile=values.tile,
        name=label,
        profiles=values.profiles,
        report=report,
    )
    paths = found.save(out)
    print(found.protocol.describe(found.given))
    if found.left_out:
        total = len(found.rows) + len(found.left_out)
        print(f"{len(found.left_out)} of {total} clips are left out")
    print(found.table())
    print(*paths, sep="\n")
