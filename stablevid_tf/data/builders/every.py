"""Every dataset by its name."""

from stablevid_tf.data.builders.gopro.gopro_dataset_builder import Builder as _Gopro
from stablevid_tf.data.builders.quasi_static.quasi_static_dataset_builder import (
    Builder as _QuasiStatic,
)
from stablevid_tf.data.builders.reds.reds_dataset_builder import Builder as _Reds
from stablevid_tf.data.builders.spmcs.spmcs_dataset_builder import Builder as _Spmcs
from stablevid_tf.data.builders.vid4.vid4_dataset_builder import Builder as _Vid4
from stablevid_tf.data.builders.video_folder.video_folder_dataset_builder import (
    Builder as _VideoFolder,
)
from stablevid_tf.data.builders.vimeo90k_septuplet import (
    vimeo90k_septuplet_dataset_builder as _septuplet,
)
from stablevid_tf.data.builders.vimeo_long.vimeo_long_dataset_builder import (
    Builder as _VimeoLong,
)

BUILDERS = {
    made.name: made
    for made in (
        _Gopro,
        _QuasiStatic,
        _Reds,
        _Spmcs,
        _Vid4,
        _VideoFolder,
        _septuplet.Builder,
        _VimeoLong,
    )
}
