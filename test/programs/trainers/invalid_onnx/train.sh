cd "$EIDER_OUTPUT"
head -c 5000 /dev/urandom > model.onnx
echo '{"train":{},"test":{"auc":0.7},"rows":{"train":1,"test":1}}' > metrics.json
echo '{"inputs":[{"name":"input","datatype":"FP32","shape":[-1,2],"columns":["a","b"]}],"outputs":[{"name":"prediction","datatype":"FP32","shape":[-1]}]}' > signature.json
echo 'PAR1' > golden.parquet
