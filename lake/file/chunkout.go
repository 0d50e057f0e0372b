package file

import (
	"bytes"
	"encoding/binary"
	"io"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	pq "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

const magic = "PAR1"

// fileOut is a Parquet file on its way out: headers of pages, page index and footer are arrow-go's, what is in the pages is
// the caller's.
type fileOut struct {
	dst    io.Writer
	at     int64 // bytes written
	props  *parquet.WriterProperties
	meta   *metadata.FileMetaDataBuilder
	index  *metadata.PageIndexBuilder
	group  *metadata.RowGroupMetaDataBuilder
	groups int16
	column int // of the group, the next one
	pager  pq.PageWriter
	zip    bytes.Buffer
}

func newFileOut(dst io.Writer, root *schema.GroupNode, props *parquet.WriterProperties, kv metadata.KeyValueMetadata) (*fileOut, error) {
	s := schema.NewSchema(root)
	o := &fileOut{dst: dst, props: props, meta: metadata.NewFileMetadataBuilder(s, props, kv), index: &metadata.PageIndexBuilder{Schema: s}}
	_, err := io.WriteString(o, magic)
	return o, err
}

func (o *fileOut) Write(b []byte) (int, error) {
	n, err := o.dst.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	o.at += int64(n)
	return n, err
}

// Tell is what arrow-go asks for.
func (o *fileOut) Tell() int64 { return o.at }

// begin begins a row group.
func (o *fileOut) begin() error {
	o.group, o.column = o.meta.AppendRowGroup(), 0
	return o.index.AppendRowGroup()
}

// end ends it, after all of its columns.
func (o *fileOut) end(rows int) error {
	o.group.SetNumRows(rows)
	err := o.group.Finish(0, o.groups)
	o.groups++
	return err
}

// finish writes page index and footer.
func (o *fileOut) finish() (*metadata.FileMetaData, error) {
	o.index.Finish()
	var at metadata.PageIndexLocation
	if err := o.index.WriteTo(o, &at); err != nil {
		return nil, err
	}
	if err := o.meta.SetPageIndexLocation(at); err != nil {
		return nil, err
	}
	meta, err := o.meta.Snapshot()
	if err != nil {
		return nil, err
	}
	n, err := meta.WriteTo(o, nil)
	if err != nil {
		return nil, err
	}
	_, err = o.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(n)), magic...))
	return meta, err
}

// next begins the next column of the row group.
func (o *fileOut) next() (*chunkOut, error) {
	meta, col := o.group.NextColumnChunk(), o.column
	o.column++
	bounds, err := o.index.GetColumnIndexBuilder(col)
	if err != nil {
		return nil, err
	}
	offsets, err := o.index.GetOffsetIndexBuilder(col)
	if err != nil {
		return nil, err
	}
	path := meta.Descr().Path()
	codec, level := o.props.CompressionFor(path), o.props.CompressionLevelFor(path)
	if o.pager == nil {
		o.pager, err = pq.NewPageWriter(o, codec, level, meta, o.groups, int16(col), o.props.Allocator(), false, nil, nil)
	} else {
		err = o.pager.Reset(o, codec, level, meta, o.groups, int16(col), nil, nil)
	}
	if err != nil {
		return nil, err
	}
	o.pager.SetIndexBuilders(bounds, offsets)
	return &chunkOut{file: o, meta: meta}, nil
}

// chunkOut is a column of a row group on its way out.
type chunkOut struct {
	file  *fileOut
	meta  *metadata.ColumnChunkMetaDataBuilder
	rows  int64
	nulls int64
	coded bool
}

// column is a writer of arrow-go for it.
func (c *chunkOut) column() pq.ColumnChunkWriter {
	return pq.NewColumnChunkWriter(c.meta, c.file.pager, c.file.props)
}

// dictionary writes the page of n words, before all others.
func (c *chunkOut) dictionary(words []byte, n int) error {
	c.coded = true
	page := pq.NewDictionaryPage(memory.NewBufferBytes(words), int32(n), c.file.props.DictionaryPageEncoding())
	defer page.Release()
	_, err := c.file.pager.WriteDictionaryPage(page)
	return err
}

// page writes a page of n rows; least and most are nil where all are nulls.
func (c *chunkOut) page(b []byte, n, nulls int, e parquet.Encoding, least, most []byte) error {
	data := b
	if pager := c.file.pager; pager.HasCompressor() {
		c.file.zip.Reset()
		data = pager.Compress(&c.file.zip, b)
	}
	page := pq.NewDataPageV1WithConfig(memory.NewBufferBytes(data), parquet.Encodings.RLE, parquet.Encodings.RLE, pq.DataPageConfig{
		Num: int32(n), Encoding: e, UncompressedSize: int32(len(b)), Stats: c.stats(int64(nulls), least, most), FirstRowIndex: c.rows,
	})
	defer page.Release()
	c.rows += int64(n)
	c.nulls += int64(nulls)
	_, err := c.file.pager.WriteDataPage(page)
	return err
}

// close ends the column.
func (c *chunkOut) close(least, most []byte) error {
	c.meta.SetStats(c.stats(c.nulls, least, most))
	return c.file.pager.Close(c.coded, false)
}

func (c *chunkOut) stats(nulls int64, least, most []byte) metadata.EncodedStatistics {
	s := metadata.EncodedStatistics{Signed: c.meta.Descr().SortOrder() == schema.SortSIGNED, AllNullValue: least == nil}
	if s.SetNullCount(nulls); least != nil {
		s.SetMin(least).SetMax(most)
	}
	s.ApplyStatSizeLimits(int(c.file.props.MaxStatsSizeFor(c.meta.Descr().Path())))
	return s
}
