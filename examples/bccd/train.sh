#!/bin/sh
# Trains ResNet-18 on BCCD (blood cells) and evaluates it on the test split; every figure comes from this command.
#   git clone https://github.com/Shenggan/BCCD_Dataset runs/bccd/source
#   sh examples/bccd/train.sh runs/bccd/source/BCCD            further words go to `frcnn train`, such as --use_amp
# From the top of the repository, with the environment active. The report is runs/bccd/evaluation/report.html.
set -eu

source=${1:?"usage: sh examples/bccd/train.sh BCCD_DIR [FLAG OF frcnn train ...]"}
shift
specs=examples/specs
python examples/bccd/prepare.py "$source" runs/bccd/data
for split in train val test; do
  frcnn dataset_convert -d "$specs/bccd_convert_$split.txt" -o "runs/bccd/records/$split"
done
frcnn train -e "$specs/bccd_resnet18.txt" -r runs/bccd/results "$@"
frcnn evaluate -e "$specs/bccd_resnet18.txt" -m runs/bccd/results/latest -r runs/bccd/evaluation \
  --tfrecords 'runs/bccd/records/test-*' --images runs/bccd/data/test
