//go:build !unix

package filelock

import (
	"errors"
	"os"
)

func tryLock(*os.File) error {
	return errors.New("the containers world needs a Unix-like system: this one has no advisory file locks")
}
