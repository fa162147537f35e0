"""Sets as array records, written by hand: tfds itself needs TensorFlow to write, not to read."""

import io
import json

import numpy as np
from PIL import Image


def write_set(root, name, features, splits, supervised=None):
    """Writes a prepared set: `splits` maps a split name to its list of examples."""
    import tensorflow_datasets as tfds
    from array_record.python.array_record_module import ArrayRecordWriter
    from tensorflow_datasets.proto import tf_example_pb2, tf_feature_pb2

    def feature(value):
        if isinstance(value, list):
            made = [feature(each) for each in value]
            kind = made[0].WhichOneof("kind")
            values = [each for one in made for each in getattr(one, kind).value]
            return tf_feature_pb2.Feature(**{kind: type(getattr(made[0], kind))(value=values)})
        if isinstance(value, np.ndarray):
            file = io.BytesIO()
            Image.fromarray(value).save(file, "PNG")
            value = file.getvalue()
        value = value.encode() if isinstance(value, str) else value
        if isinstance(value, bytes):
            return tf_feature_pb2.Feature(bytes_list=tf_feature_pb2.BytesList(value=[value]))
        if isinstance(value, int):
            return tf_feature_pb2.Feature(int64_list=tf_feature_pb2.Int64List(value=[value]))
        return tf_feature_pb2.Feature(float_list=tf_feature_pb2.FloatList(value=[value]))

    folder = root / name / "1.0.0"
    folder.mkdir(parents=True)
    described = tfds.features.FeaturesDict(features)
    described.save_config(folder)
    info = {"fileFormat": "array_record", "name": name, "version": "1.0.0", "splits": []}
    if supervised:
        info["supervisedKeys"] = {"tuple": {"items": [{"featureKey": key} for key in supervised]}}
    for split, examples in splits.items():
        path = folder / f"{name}-{split}.array_record-00000-of-00001"
        writer = ArrayRecordWriter(str(path), "group_size:1")
        size = 0
        for example in examples:
            fields = tf_feature_pb2.Features(feature={k: feature(v) for k, v in example.items()})
            data = tf_example_pb2.Example(features=fields).SerializeToString()
            size += len(data)
            writer.write(data)
        writer.close()
        info["splits"].append(
            {
                "name": split,
                "numBytes": str(size),
                "shardLengths": [str(len(examples))],
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            }
        )
    (folder / "dataset_info.json").write_text(json.dumps(info))
